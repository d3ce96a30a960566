# The app in a container, as an unprivileged user, without a GPU:
#
#     docker build -t latent-editor . && docker run --rm -p 7860:7860 latent-editor
#
# With a GPU, choose the index with torch for your driver (https://pytorch.org/get-started/locally):
#
#     docker build -t latent-editor --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
#     docker run --rm --gpus all -p 7860:7860 latent-editor
#
# The index …/whl/cpu gives the smallest image. Without an index, torch comes from the default package index.
#
# For another model, mount its folder and add -e LATENT_EDITOR_MODEL=/the/folder.
# The kernels are compiled in a separate stage, so that the final image needs no compiler.
FROM python:3.11-slim AS base

ARG TORCH_INDEX=

RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1 \
    LATENT_EDITOR_HOST=0.0.0.0 \
    LATENT_EDITOR_PORT=7860

# If torch has its own index, install it first; requirements.txt is then satisfied.
COPY --chown=1000 requirements.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --user --index-url "$TORCH_INDEX" $(grep -E '^(torch|torchvision)==' requirements.txt); \
    fi \
    && pip install --user -r requirements.txt

COPY --chown=1000 . .
RUN mkdir -p /home/user/.cache/latent-editor/ops

# For the instruction set of the build machine; other machines run the PyTorch references.
FROM base AS kernels
USER root
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
USER 1000
RUN python -m latent_editor ops build --device cpu || echo "The kernels were not built; PyTorch runs instead."

FROM base
COPY --chown=1000 --from=kernels /home/user/.cache/latent-editor/ops /home/user/.cache/latent-editor/ops

EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/editor/about', timeout=5)"]
CMD ["python", "app.py"]
