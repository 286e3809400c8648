"""GPU memory and use of a training, from torch and from NVIDIA's management library, which its driver brings."""

import ctypes
from functools import cache

import torch

GIB = 1 << 30


def numbers(device: torch.device) -> dict:
    """Numbers of the GPU `device` by tag, {} on a CPU: the most GiB that tensors have taken, the GiB that are taken on
    it by whoever, and the percent of the last moments in which it computed, where the driver tells."""
    if device.type != 'cuda':
        return {}
    free, total = torch.cuda.mem_get_info(device)
    found = {
        'gpu/tensors_gib': torch.cuda.max_memory_allocated(device) / GIB,
        'gpu/taken_gib': (total - free) / GIB,
    }
    use = utilisation(str(torch.cuda.get_device_properties(device).uuid))
    return found if use is None else {**found, 'gpu/use_percent': use}


class _Use(ctypes.Structure):
    """nvmlUtilization_t: percent of the time since the last sample."""

    _fields_ = (('gpu', ctypes.c_uint), ('memory', ctypes.c_uint))


def utilisation(uuid: str) -> int | None:
    """Percent of time in which the GPU of a UUID computed; None where the driver does not tell."""
    library, use, handle = driver(), _Use(), ctypes.c_void_p()
    if library is None:
        return None
    name = (uuid if uuid.startswith(('GPU-', 'MIG-')) else f'GPU-{uuid}').encode()
    found = library.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)) == 0
    found = found and library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0
    return int(use.gpu) if found else None


@cache
def driver():
    """NVIDIA's library, ready for use; None where there is none."""
    try:
        library = ctypes.CDLL('libnvidia-ml.so.1')
        return library if library.nvmlInit_v2() == 0 else None
    except (OSError, AttributeError):
        return None
