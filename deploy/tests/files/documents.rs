//! Checks the documents generated from the code.
