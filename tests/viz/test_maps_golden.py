"""Every map against arrays computed from the reference's tensors, and against planted mistakes."""

import importlib

import golden_maps
import golden_maps_of_models
import pytest
from planted import module_with
from planted_maps import MISTAKES

CHECKS = {
    "maps.py": golden_maps.check_maps,
    "statistics.py": golden_maps.check_statistics,
    "flow.py": golden_maps.check_flow,
    "similarity.py": golden_maps.check_similarity,
    "lens.py": golden_maps_of_models.check_lens,
    "attribution.py": golden_maps_of_models.check_attribution,
    "explain.py": golden_maps_of_models.check_explain,
    "faithful.py": golden_maps_of_models.check_faithful,
}


@pytest.mark.parametrize("file", CHECKS)
def test_every_map_is_the_one_computed_from_the_reference(file):
    CHECKS[file](importlib.import_module(f"minivit.viz.{file.removesuffix('.py')}"))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_caught(mistake):
    file, right, planted = MISTAKES[mistake]
    with pytest.raises(AssertionError):
        CHECKS[file](module_with(f"viz/{file}", right, planted))
