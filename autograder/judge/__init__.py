"""The judge: runs untrusted code in disposable workers and turns what comes back into a verdict."""
