"""The web page: a gradio app with one custom component, and routes on the same server."""
