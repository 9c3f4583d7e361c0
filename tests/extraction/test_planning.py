"""Which texts share a forward, and windows of over-long texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurowidget.extraction.planning import pieces_of, plan
from neurowidget.models.batching import Encoded


def row(before: int, body: int, after: int) -> Encoded:
    """Ids 1000.. for the body, 1 and 2 for special tokens around it."""
    ids = [1] * before + list(range(1000, 1000 + body)) + [2] * after
    special = [True] * before + [False] * body + [True] * after
    return Encoded("", ids, special, list(range(len(ids))), None)


class TestPlan:
    @given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200), st.booleans())
    def test_every_text_once_and_no_batch_too_large(self, lengths, batch_tokens, mix):
        groups = plan(lengths, batch_tokens, mix)
        assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
        for group in groups:
            sizes = [lengths[index] for index in group]
            assert len(group) == 1 or max(sizes) * len(group) <= batch_tokens
            assert mix or len(set(sizes)) == 1

    def test_longest_first_and_ties_in_order(self):
        assert plan([3, 5, 3, 1], 10) == [[1, 0], [2, 3]]
        assert plan([3, 5, 3, 1], 10, mix=False) == [[1], [0, 2], [3]]
        assert plan([4, 4, 4], 8) == [[0, 1], [2]]

    def test_nonsense_is_refused(self):
        with pytest.raises(ValueError, match="batch_tokens=0"):
            plan([1], 0)


class TestWindows:
    def test_a_text_that_fits_is_one_piece(self):
        whole = row(1, 8, 1)
        (piece,) = pieces_of(4, whole, 10, causal=False)
        assert (piece.text, piece.row, piece.inside, piece.at) == (4, whole, slice(0, 10), 0)
        assert len(pieces_of(0, row(1, 5000, 1), None, causal=False)) == 1

    @given(st.integers(0, 2), st.integers(1, 90), st.integers(0, 2), st.integers(6, 20), st.booleans())
    def test_every_token_comes_from_one_window(self, before, body, after, longest, causal):
        whole = row(before, body, after)
        seen: list[int] = []
        for piece in pieces_of(0, whole, longest, causal):
            assert len(piece) <= longest
            assert piece.at == len(seen)
            seen += piece.row.ids[piece.inside]
            assert piece.row.special == [token < 1000 for token in piece.row.ids]
            assert piece.row.types is not None
            assert [whole.ids[position] for position in piece.row.types] == piece.row.ids
            assert piece.row.ids[:before] == whole.ids[:before]
            assert piece.row.ids[len(piece) - after :] == whole.ids[len(whole.ids) - after :]
        assert seen == whole.ids

    def test_each_token_has_the_most_context(self):
        """Against all windows, by counting the tokens on either side."""
        whole, size = row(1, 53, 1), 10
        pieces = pieces_of(0, whole, size + 2, causal=False)
        spans = [(piece.row.ids[1] - 1000, piece.row.ids[size] - 1000) for piece in pieces]
        for piece, (first, last) in zip(pieces, spans, strict=True):
            for token in [t - 1000 for t in piece.row.ids[piece.inside] if t >= 1000]:

                def context(window: tuple[int, int], token: int = token) -> float:
                    left = token - window[0] if window[0] > 0 else 99
                    right = window[1] - token if window[1] < 52 else 99
                    return min(left, right) if window[0] <= token <= window[1] else -1

                # Two neighbours may see one token equally well but for the parity of the overlap.
                assert context((first, last)) >= max(map(context, spans)) - 1

    def test_in_a_causal_model_the_most_tokens_before(self):
        whole, size = row(1, 53, 0), 10
        pieces = pieces_of(0, whole, size + 1, causal=True)
        starts = [piece.row.ids[1] - 1000 for piece in pieces]
        for piece in pieces:
            for token in [t - 1000 for t in piece.row.ids[piece.inside] if t >= 1000]:
                best = max(token - start for start in starts if start <= token < start + size)
                assert token - (piece.row.ids[1] - 1000) == best

    def test_no_room_is_said(self):
        with pytest.raises(ValueError, match="text 3: 3 tokens at most leave no room beside 2 special tokens"):
            pieces_of(3, row(1, 50, 1), 3, causal=False)
