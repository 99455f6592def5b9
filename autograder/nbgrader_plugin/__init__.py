"""Make nbgrader's own commands and formgrader grade with the judge."""
