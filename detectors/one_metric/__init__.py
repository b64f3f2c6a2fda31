"""Any one metric by itself: what is expected of it, how odd each value is, which values would page."""
