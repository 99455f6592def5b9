"""Lesson cards: the JSON that lesson-writing services give, read into chapter drafts and written from chapters."""
