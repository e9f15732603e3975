"""Files and weights of other libraries, read and written."""
