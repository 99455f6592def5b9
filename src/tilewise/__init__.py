"""Reference implementations of softmax and attention. Knows nothing of the course."""
