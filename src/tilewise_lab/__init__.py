"""What a notebook imports: `check`, `quiz`, `picked`, `hint`, `progress`."""
