"""The conversation itself: a pure function over plain data, the standard library only."""
