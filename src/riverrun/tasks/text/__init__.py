"""Text: what the language-model task does with it, from files to a vocabulary and parts, to figures and samples."""
