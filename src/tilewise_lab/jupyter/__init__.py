"""A JupyterLab of the course's own: it neither reads nor changes the settings of any other on the machine."""
