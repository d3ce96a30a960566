# The page in a container, as an ordinary user, without a GPU:
#
#     docker build -t latent-editor . && docker run --rm -p 7860:7860 latent-editor
#
# With a GPU (the CUDA libraries come with that build of torch):
#
#     docker build -t latent-editor --build-arg DEVICE=cuda . && docker run --rm --gpus all -p 7860:7860 latent-editor
#
# Another model: mount its folder, and add -e LATENT_EDITOR_MODEL=/the/folder.
FROM python:3.11-slim

# cpu or cuda: which build of torch is installed, and where from. Another index: --build-arg TORCH_INDEX=https://…
ARG DEVICE=cpu
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

# torch first, from the index that has the build for this device; the rest then finds it in place.
COPY --chown=1000 requirements.txt ./
RUN index="${TORCH_INDEX:-https://download.pytorch.org/whl/$([ "$DEVICE" = cuda ] && echo cu130 || echo cpu)}" \
    && pip install --user $(grep -E '^(torch|torchvision)==' requirements.txt) --index-url "$index" \
    && pip install --user -r requirements.txt

COPY --chown=1000 . .

EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/editor/about', timeout=5)"]
CMD ["python", "app.py"]
