"""Where journals and results are kept."""
