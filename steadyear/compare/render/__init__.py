"""Tables and figures as text and HTML."""
