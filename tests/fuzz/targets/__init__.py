"""`target(data)` hands *data* to where such bytes arrive, and fails for what must not come of it.

What may come of it is a value or one of our errors, and where there is a
writer, what it writes is read as the same value.
"""
