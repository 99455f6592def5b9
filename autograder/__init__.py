"""Grade student code: the course model, the judge, and the nbgrader plug-in.

May import `tilewise`; must not import `tilewise_lab`.
"""
