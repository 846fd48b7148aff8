//! Checks links and anchors of every document.
