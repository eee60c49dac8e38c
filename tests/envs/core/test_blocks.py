"""Each row's numbers come from its own generator, whatever the other rows draw."""

import numpy as np
import pytest
from pg_envs.core.blocks import Blocks, normal, uniform

SEEDS = [7, 3, 2**40, 11]


def generators(seeds=SEEDS):
    return [np.random.default_rng(seed) for seed in seeds]


@pytest.mark.parametrize("size", [1, 3, 64])
def test_blocks_hand_out_each_generators_own_stream(size):
    blocks = Blocks(generators(), uniform, size)
    chosen = np.random.default_rng(0)
    taken = [[] for _ in SEEDS]
    for _ in range(100):
        rows = np.flatnonzero(chosen.random(len(SEEDS)) < 0.7)
        for row, value in zip(rows, blocks.take(rows), strict=True):
            taken[row].append(value)
    for row, generator in zip(taken, generators(), strict=True):
        assert row == generator.random(len(row)).tolist()


def test_blocks_of_vectors():
    blocks = Blocks(generators(), lambda generator, size: generator.random((size, 3)), size=2)
    taken = np.stack([blocks.take(np.arange(4)) for _ in range(5)])  # [5, 4, 3]
    for row, generator in enumerate(generators()):
        np.testing.assert_array_equal(taken[:, row], generator.random((6, 3))[:5])


def test_two_blocks_on_one_generator_do_not_notice_the_other_rows():
    def numbers_of_row_0(seeds):
        shared = generators(seeds)
        uniforms, normals = Blocks(shared, uniform, 3), Blocks(shared, normal, 5)
        everyone, chosen = np.arange(len(seeds)), np.random.default_rng(1)
        numbers = []
        for _ in range(60):
            blocks = uniforms if chosen.random() < 0.5 else normals
            numbers.append(blocks.take(everyone[:1])[0])
            for _ in range(len(seeds) - 1):  # the others draw twice as often
                uniforms.take(everyone[1:])
                normals.take(everyone[1:])
        return numbers

    assert numbers_of_row_0([7]) == numbers_of_row_0([7, 8]) == numbers_of_row_0([7, 9, 10])
