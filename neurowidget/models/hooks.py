"""Reading and editing the values inside a forward pass: `recording` and `editing`, context managers over one mechanism.

Each root module has one board. It installs at most one hook per (module, side), shared by all open blocks, and takes it
out when the last of them closes, so blocks may close in any order. When the hook fires it looks up the blocks that the
*current thread* has open: all edits first, in the order they were opened, then all recordings. The entries (the modules
that take `input_ids` and `attention_mask`, from the root down to the stack) are hooked too: they tell which tokens are
padding and how many lie in the KV cache, and they restart the count of calls by which a shared module is addressed.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from neurowidget.models.context import Context, context_without_mask, read_context
from neurowidget.models.hook_places import argument_place, entries_around, first_tensor, refuse_compiled, with_first
from neurowidget.neuron import LayerSite

if TYPE_CHECKING:
    from neurowidget.models.batching import Batch
    from neurowidget.models.loading import NeuronModel

Edit = Callable[[Tensor, Context], Tensor]
Callback = Callable[[LayerSite, Tensor], None]
_Spot = tuple[int, str, int | str]  # id of the module; "input", "output" or, for entries, "entry"; which argument


class InterventionNeverFired(RuntimeError):  # noqa: N818 - a public name
    """A block of interventions (or recordings) ended without one of its sites being reached."""


def recording(model: NeuronModel, sites: Sequence[LayerSite], callback: Callback) -> Block:
    """Call `callback(site, value)` with the value, (batch, token, width), of each site in each forward of this thread.

    The value is the one the model goes on with, after all edits; it is not a copy and keeps its graph. Raises
    InterventionNeverFired at the end of the block for a site that was not reached.
    """
    return Block(model, {site: [] for site in sites}, callback)


def editing(model: NeuronModel, edits: Mapping[LayerSite, Edit | Sequence[Edit]]) -> Block:
    """Replace the value of each site by `edit(value, context)` in each forward of this thread.

    Values are (batch, token, width) and an edit returns the same shape (the same tensor = untouched, passed on
    bit-equal); it must not write into the tensor it is given. Several edits of one site follow one another. Raises
    InterventionNeverFired at the end of the block for a site that was not reached.
    """
    return Block(model, {site: [edit] if callable(edit) else list(edit) for site, edit in edits.items()}, None)


def record_values(model: NeuronModel, batch: Batch, sites: Sequence[LayerSite]) -> dict[LayerSite, Tensor]:
    """The values (batch, token, width) at `sites` of the clean model; the forward ends where the last of them is known.

    What this thread has open on the model does not act. The values are inference tensors: copy them for autograd.
    """
    wanted = set(sites)
    found: dict[LayerSite, Tensor] = {}

    def take(site: LayerSite, value: Tensor) -> None:
        found[site] = value
        if len(found) == len(wanted) and may_stop:
            raise _Enough

    # Hooks of the user, and of accelerate, which puts weights back after a module ran, must see the end of the forward.
    may_stop = not any(
        module._forward_hooks or module._forward_pre_hooks or hasattr(module, "_hf_hook")
        for module in model.module.modules()
    )
    with suspended(model), contextlib.suppress(_Enough), recording(model, list(wanted), take):
        model.forward(batch)
    return {site: found[site] for site in sites}


class _Enough(Exception):  # noqa: N818  no error: it ends a forward
    """Ends a forward of which everything wanted is known."""


@contextmanager
def suspended(model: NeuronModel) -> Iterator[None]:
    """Run the model clean: the blocks that this thread has open neither edit nor record until the end of this one."""
    board = _board(model.module)
    state = board.state()
    paused, before = list(state.blocks), (state.frames, state.calls, state.lengths, state.keep_lengths)
    state.frames, state.calls, state.lengths, state.keep_lengths = [], {}, {}, False
    for block in paused:
        block.paused += 1
    try:
        yield
    finally:
        for block in paused:
            block.paused -= 1
        state.frames, state.calls, state.lengths, state.keep_lengths = before
        board.forget(state)


@contextmanager
def generating(model: NeuronModel) -> Iterator[None]:
    """Mark a generation: negative positions keep counting from the end of the prompt while tokens are added."""
    board = _board(model.module)
    state = board.state()
    before = state.lengths, state.keep_lengths
    state.lengths, state.keep_lengths = {}, True
    try:
        yield
    finally:
        state.lengths, state.keep_lengths = before
        board.forget(state)


@dataclass(eq=False)
class _Seat:
    """One site within a block."""

    site: LayerSite
    call: int | None
    edits: Sequence[Edit]
    fired: int = 0


@dataclass
class _Frame:
    """An entry that is being called."""

    entry: int
    members: frozenset[int]
    context: Context | None


@dataclass
class _State:
    """What one thread has going on with one root module."""

    blocks: list[Block] = field(default_factory=list)
    frames: list[_Frame] = field(default_factory=list)
    calls: dict[_Spot, int] = field(default_factory=dict)
    lengths: dict[int, Tensor] = field(default_factory=dict)
    keep_lengths: bool = False


class Block:
    """An open `recording` or `editing`: a context manager that can be entered once."""

    def __init__(
        self, model: NeuronModel, edits: Mapping[LayerSite, Sequence[Edit]], callback: Callback | None
    ) -> None:
        self.root = model.module
        self.callback = callback
        self.paused = 0
        self.thread: int | None = None
        self.held: list[_Spot] = []
        self.modules: dict[_Spot, nn.Module] = {}
        self.seats: dict[_Spot, list[_Seat]] = {}
        for site, site_edits in edits.items():
            location = model.locate(site)
            spot = (id(location.module), location.side, location.argument if location.side == "input" else 0)
            self.modules[spot] = location.module
            self.seats.setdefault(spot, []).append(_Seat(site, location.call, site_edits))
        refuse_compiled(self.root, self.modules.values())

    def __enter__(self) -> Self:
        if self.thread is not None:
            raise RuntimeError("this block was entered before; make a new one for each `with`")
        self.thread = threading.get_ident()
        _board(self.root).open(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _board(self.root).close(self)
        missed = [seat.site for seats in self.seats.values() for seat in seats if not seat.fired]
        if kind is None and missed:
            raise InterventionNeverFired(never_fired(missed))

    def edit(self, spot: _Spot, call: int, value: Tensor, context: Context) -> Tensor:
        """Apply the edits that this block has at `spot`."""
        for seat in self.seats.get(spot, ()):
            if self.callback is not None or seat.call not in (None, call):
                continue
            seat.fired += 1
            for edit in seat.edits:
                edited = edit(value, context)
                if edited.shape != value.shape:
                    raise ValueError(f"{seat.site}: an edit returned {tuple(edited.shape)} for {tuple(value.shape)}")
                value = edited
        return value

    def record(self, spot: _Spot, call: int, value: Tensor) -> None:
        """Hand `value` to the callback of this block."""
        for seat in self.seats.get(spot, ()):
            if self.callback is not None and seat.call in (None, call):
                seat.fired += 1
                self.callback(seat.site, value)


def never_fired(sites: Sequence[LayerSite]) -> str:
    """The message for sites that no forward reached."""
    names = ", ".join(map(str, sites[:5])) + (" ..." if len(sites) > 5 else "")
    return (
        f"{names}: never reached in this block. Run the model inside the `with` block and in the thread that opened it; "
        "a module compiled beforehand ignores it, and a decoder site needs a forward that runs the decoder."
    )


class _Board:
    """The hooks of one root module and, per thread, the blocks that are open."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.states: dict[int, _State] = {}
        self.installed: dict[_Spot, tuple[list[RemovableHandle], int]] = {}

    def state(self) -> _State:
        """The state of the current thread."""
        with self.lock:
            return self.states.setdefault(threading.get_ident(), _State())

    def open(self, block: Block) -> None:
        around = entries_around(block.root, block.modules.values()) if block.modules else []
        wanted: dict[_Spot, nn.Module] = {(id(entry), "entry", 0): entry for entry in around}
        wanted |= block.modules
        state = self.state()
        with self.lock:
            try:
                state.blocks.append(block)
                for spot, module in wanted.items():
                    handles, count = self.installed.get(spot, ([], 0))
                    self.installed[spot] = handles, count + 1
                    block.held.append(spot)
                    if not count:
                        self._install(handles, module, spot)
            except BaseException:
                self.close(block)
                raise

    def close(self, block: Block) -> None:
        with self.lock:
            state = self.states.get(block.thread or 0)
            if state is None or block not in state.blocks:
                return
            state.blocks.remove(block)
            for spot in block.held:
                handles, count = self.installed.pop(spot)
                if count > 1:
                    self.installed[spot] = handles, count - 1
                else:
                    for handle in handles:
                        handle.remove()
            if not state.blocks:
                state.frames, state.calls = [], {}
            self.forget(state)

    def forget(self, state: _State) -> None:
        """Drop the state of a thread that has nothing open."""
        with self.lock:
            for thread in [t for t, s in self.states.items() if s is state and not s.blocks and not s.keep_lengths]:
                del self.states[thread]

    def _install(self, handles: list[RemovableHandle], module: nn.Module, spot: _Spot) -> None:
        if spot[1] == "entry":
            members = frozenset(id(inner) for inner in module.modules())
            handles.append(module.register_forward_pre_hook(partial(self._enter, members), with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        elif spot[1] == "input":
            handles.append(module.register_forward_pre_hook(partial(self._on_input, spot), with_kwargs=True))
        else:
            handles.append(module.register_forward_hook(partial(self._on_output, spot)))

    def _enter(self, members: frozenset[int], module: nn.Module, args: Any, kwargs: Any) -> None:
        state = self.states.get(threading.get_ident())
        if state is None:
            return
        entry = id(module)
        # What is still here of a forward that a KeyboardInterrupt ended lies above, or is not around this module.
        state.frames = [frame for frame in state.frames if frame.entry != entry and entry in frame.members]
        if not state.frames:
            state.calls = {}
        context = read_context(module, args, kwargs, state.lengths.get(entry))
        if context is not None and (entry not in state.lengths or not (context.offset or state.keep_lengths)):
            context.lengths = context.attention_mask.sum(dim=1)
            state.lengths[entry] = context.lengths
        state.frames.append(_Frame(entry, members, context))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        state = self.states.get(threading.get_ident())
        if state is not None and state.frames and state.frames[-1].entry == id(module):
            state.frames.pop()

    def _on_input(self, spot: _Spot, module: nn.Module, args: Any, kwargs: Any) -> Any:
        state = self.states.get(threading.get_ident())
        if state is None:
            return None
        where = argument_place(spot[2], args, kwargs)
        old = args[where] if isinstance(where, int) else kwargs[where]
        value = self._pass(state, spot, old)
        if value is old:
            return None
        if isinstance(where, int):
            return (*args[:where], value, *args[where + 1 :]), kwargs
        return args, {**kwargs, where: value}

    def _on_output(self, spot: _Spot, module: nn.Module, args: Any, output: Any) -> Any:
        state = self.states.get(threading.get_ident())
        if state is None:
            return None
        old = first_tensor(output)
        value = self._pass(state, spot, old)
        return None if value is old else with_first(output, value)

    def _pass(self, state: _State, spot: _Spot, value: Tensor) -> Tensor:
        """Count a call and run the edits, then the recordings, of the blocks that this thread has open."""
        call = state.calls.get(spot, 0)
        state.calls[spot] = call + 1
        frames = [f.context for f in state.frames if spot[0] in f.members and f.context is not None]
        context = frames[-1] if frames else context_without_mask(value)
        blocks = [block for block in state.blocks if not block.paused and spot in block.seats]
        # OPT hands its MLP all tokens of all texts in one axis.
        flat = value.dim() == 2 and value.shape[0] == context.shape[0] * context.shape[1]
        new = old = value.view(*context.shape, value.shape[-1]) if flat else value
        if old.shape[:2] != context.shape and any(block.callback is None for block in blocks):
            raise RuntimeError(
                f"{blocks[-1].seats[spot][0].site} has (batch, token) = {tuple(old.shape[:2])} where the model was given "
                f"{context.shape}: tokens cannot be matched (does the model pad or shorten texts on its own?)"
            )
        for block in blocks:
            new = block.edit(spot, call, new, context)
        for block in blocks:
            block.record(spot, call, new)
        if new is old:
            return value
        return new.reshape(value.shape) if flat else new


_boards: weakref.WeakKeyDictionary[nn.Module, _Board] = weakref.WeakKeyDictionary()
_boards_lock = threading.Lock()


def _board(root: nn.Module) -> _Board:
    with _boards_lock:
        return _boards.setdefault(root, _Board())


def open_blocks(model: NeuronModel) -> list[Block]:
    """The blocks that the current thread has open on `model` and that act, in the order in which they were opened."""
    board = _board(model.module)
    with board.lock:
        state = board.states.get(threading.get_ident())
        return [block for block in state.blocks if not block.paused] if state else []
