# docker build -t hmsa .                                        CPU or GPU (the wheels of PyTorch bring CUDA along)
# docker build -t hmsa --build-arg BASE=YOUR/CUDA-IMAGE .       on top of another image that has Python 3.10 or newer
# docker build -t hmsa --build-arg PIP_ARGS="--extra-index-url URL" .      wheels for CPUs only, a small part of the size
# docker build -t hmsa --build-arg PIP_ARGS="-r requirements-extras.txt" .  timm, safetensors, ONNX and the like too
#
# docker run --gpus all --shm-size 8g -v /data:/data -v "$PWD/runs:/hmsa/runs" hmsa \
#     --dataset cityscapes --override_dataset_root /data --result_dir runs/a ...         the flags of train.py
# docker run --entrypoint python -v /data:/data hmsa -m datasets.prepare gta5 --root /data        any other program
ARG BASE=python:3.12-slim
FROM ${BASE}

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 NO_VENV=1
WORKDIR /hmsa

# --compile needs a compiler; an image of another kind brings its own, or the network runs uncompiled.
RUN command -v g++ || { apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*; }

# Before the code, so that a changed line of code does not install everything again.
COPY requirements*.txt ./
ARG PIP_ARGS=""
RUN python -m pip install ${PIP_ARGS} -r requirements.txt

COPY . .
ENTRYPOINT ["python", "train.py"]
CMD ["--help"]
