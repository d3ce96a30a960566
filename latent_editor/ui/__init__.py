"""The page: a gradio Blocks app whose editor is one component that talks to a few routes on the same server."""
