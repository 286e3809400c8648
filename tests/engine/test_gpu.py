import ctypes
from types import SimpleNamespace

import pytest
import torch

from engine import gpu


class Driver:
    """NVIDIA's library with one GPU, which computes a third of the time."""

    def __init__(self):
        self.names = []

    def nvmlDeviceGetHandleByUUID(self, name, handle):
        self.names.append(name)
        return 0 if name == b'GPU-12' else 6

    def nvmlDeviceGetUtilizationRates(self, handle, use):
        ctypes.cast(use, ctypes.POINTER(ctypes.c_uint))[0] = 33
        return 0


def test_a_cpu_has_no_numbers_of_a_gpu():
    assert gpu.numbers(torch.device('cpu')) == {}


@pytest.mark.parametrize('uuid, use', [('12', 33), ('GPU-12', 33), ('13', None)])
def test_the_use_of_a_gpu_is_asked_for_by_its_uuid(uuid, use, monkeypatch):
    monkeypatch.setattr(gpu, 'driver', Driver)
    assert gpu.utilisation(uuid) == use


def test_without_a_driver_the_use_is_unknown(monkeypatch):
    def missing(name):
        raise OSError(name)

    gpu.driver.cache_clear()  # of a machine that has one
    monkeypatch.setattr(ctypes, 'CDLL', missing)
    assert gpu.utilisation('12') is None
    gpu.driver.cache_clear()


def test_memory_is_that_of_tensors_and_all_that_is_taken(monkeypatch):
    monkeypatch.setattr(gpu, 'driver', Driver)
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda _: (6 << 30, 8 << 30))
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda _: 3 << 29)
    monkeypatch.setattr(torch.cuda, 'get_device_properties', lambda _: SimpleNamespace(uuid='12'))
    assert gpu.numbers(torch.device('cuda')) == {'gpu/tensors_gib': 1.5, 'gpu/taken_gib': 2.0, 'gpu/use_percent': 33}
