"""The scoring path inside a Python worker: Arrow batch -> decode -> engine -> head -> rows.

There is one spec per (model version, engine, precision, kind of input). A worker keeps a compiled engine until it exits.
Equal inputs of a batch are scored once (a join that fans out repeats its images), and a network's output for an image is
cached on the executor's disk (cache.py).
"""

from __future__ import annotations

import base64
import io
import pickle  # reads only the broadcast files that our own driver wrote
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark import Broadcast

from sqlext.engines import cpu_supports_bf16, load_engine
from sqlext.engines.base import Engine
from sqlext.images import decode as images
from sqlext.images.preprocessing import Preprocessing, tensor
from sqlext.networks.head import TOO_LARGE, Head, Numbers, softmax
from sqlext.scoring.cache import content_hash, output_cache

Floats = npt.NDArray[np.float32]
_Array = TypeVar("_Array", bound=Numbers)

NO_IMAGE = "no image"
NO_FEATURES = "no features"
_CHUNK = 16  # images decoded before the engine runs: bounds a worker's memory at 16 x 600 KB for 224 x 224


@dataclass(frozen=True, eq=False)
class ScoringSpec:
    """What a worker needs to score; small, pickled with the UDF. The network travels as a broadcast."""

    key: str
    network_key: str | None = None
    preprocessing: dict[str, Any] | None = None
    engine: str = "onnxruntime"
    precision: str = "f32"
    head: Head | None = None
    labels: tuple[str, ...] = field(default=())
    scores_kind: str = "logits"
    width: int = 0
    version: int = 0
    task: str = "classification"
    columns: tuple[str, ...] = ()  # names of the feature columns, for error texts; empty if the input is one column
    cache_bytes: int = 0  # limit of the output cache on the executor's disk


_engines: dict[tuple[str, str, str], Engine] = {}


def _engine(spec: ScoringSpec, network: Broadcast[bytes]) -> Engine:
    cached = (str(spec.network_key), spec.engine, spec.precision)
    if cached not in _engines:
        _engines[cached] = load_engine(spec.engine, _broadcast_bytes(network), precision=spec.precision)
    return _engines[cached]


def _broadcast_bytes(broadcast: Broadcast[bytes]) -> bytes:
    """Returns the value without Broadcast's own cache, which would hold another 100 MB next to the compiled network."""
    path = getattr(broadcast, "_path", None)
    if path is None or not Path(path).is_file():
        return broadcast.value
    with Path(path).open("rb") as file:
        return bytes(pickle.load(file))  # noqa: S301


# --- images -------------------------------------------------------------------------------------------------------


def _rows(values: pd.Series | pd.DataFrame) -> list[Any]:
    """Returns a BINARY column as bytes or an image-struct column as dicts; NULL becomes None."""
    if isinstance(values, pd.DataFrame):
        records: list[dict[Any, Any]] = values.to_dict("records")
        # A NULL struct arrives in a DataFrame as a row of NULLs.
        return [record if record.get("data") is not None else None for record in records]
    return list(values)


def _identity(value: Any) -> Any:
    return value if isinstance(value, bytes) else tuple((k, bytes(v) if k == "data" else v) for k, v in value.items())


def _unique(values: list[Any]) -> tuple[list[Any], list[int | None]]:
    """Returns the distinct non-NULL values and, for each row, its index among them (None for NULL)."""
    seen: dict[Any, int] = {}
    index = [None if value is None else seen.setdefault(_identity(value), len(seen)) for value in values]
    # In reverse, so that of equal values the first one stays.
    first = {i: value for value, i in zip(reversed(values), reversed(index), strict=True) if i is not None}
    return [first[i] for i in range(len(seen))], index


def _tensor(value: Any, preprocessing: Preprocessing) -> Floats | str:
    """Returns the network's input (3, S, S), or the reason why the image does not decode."""
    try:
        return tensor(images.decode(value), preprocessing)
    except images.ImageError as error:
        return str(error)


def _through_network(
    values: list[Any], spec: ScoringSpec, network: Broadcast[bytes], output: str
) -> list[Floats | str]:
    """Returns each image's row of the network's ``output`` ('embedding' or 'scores'), or the reason why there is none."""
    preprocessing = Preprocessing.from_dict(spec.preprocessing or {})
    cache = output_cache(spec.cache_bytes)
    scope = f"{spec.network_key} {spec.engine} {spec.precision} {output}"
    results: list[Floats | str] = []
    for start in range(0, len(values), _CHUNK):
        chunk = values[start : start + _CHUNK]
        keys = [content_hash(scope, value) for value in chunk] if cache else []
        known = cache.read(keys) if cache else [None] * len(chunk)
        missing = [i for i, found in enumerate(known) if found is None]
        inputs = [_tensor(chunk[i], preprocessing) for i in missing]
        outputs = _of_good(inputs, lambda batch: _run(batch, output, spec, network))
        computed = dict(zip(missing, outputs, strict=True))
        if cache:  # only outputs are cached, not reasons
            cache.write({keys[i]: row for i, row in computed.items() if not isinstance(row, str)})
        results += [computed[i] if found is None else found for i, found in enumerate(known)]
    return results


def _run(batch: Floats, output: str, spec: ScoringSpec, network: Broadcast[bytes]) -> Floats:
    embedding, scores = _engine(spec, network).run(batch)
    if output == "embedding":
        return embedding
    assert scores is not None
    return scores


def _of_good(values: Sequence[Numbers | str], function: Callable[[Any], _Array]) -> list[_Array | str]:
    """Applies ``function`` to the values as one batch; reasons (strings) are returned unchanged."""
    good = [v for v in values if not isinstance(v, str)]
    outputs = iter(function(np.stack(good)) if good else ())
    return [v if isinstance(v, str) else next(outputs) for v in values]


def _spread(
    results: Sequence[Numbers | str], index: list[int | None], missing: str
) -> tuple[list[Numbers | None], list[str | None]]:
    """Expands the results of distinct inputs to all rows: (output or None, reason or None)."""
    return _apart([missing if i is None else results[i] for i in index])


def _apart(results: Sequence[Numbers | str]) -> tuple[list[Numbers | None], list[str | None]]:
    """Splits results into outputs and reasons; a row has one of the two."""
    return [None if isinstance(r, str) else r for r in results], [r if isinstance(r, str) else None for r in results]


def embed_images(values: pd.Series | pd.DataFrame, spec: ScoringSpec, network: Broadcast[bytes]) -> pd.DataFrame:
    """Returns the columns embedding (float32 array) and error."""
    unique, index = _unique(_rows(values))
    results = _through_network(unique, spec, network, "embedding")
    outputs, errors = _spread(results, index, NO_IMAGE)
    return pd.DataFrame({"embedding": _column(outputs), "error": _column(errors)})


def predict_images(values: pd.Series | pd.DataFrame, spec: ScoringSpec, network: Broadcast[bytes]) -> pd.DataFrame:
    """Returns the columns of :func:`predictions` for images, from backbone and head or from the network's own scores."""
    unique, index = _unique(_rows(values))
    results: Sequence[Numbers | str]
    results = _through_network(unique, spec, network, "scores" if spec.head is None else "embedding")
    if spec.head is not None:
        results = _of_good(results, spec.head.logits)
    return predictions(*_spread(results, index, NO_IMAGE), spec)


def tensors(values: pd.Series | pd.DataFrame, spec: ScoringSpec) -> pd.DataFrame:
    """Returns the columns tensor (flat float32 array) and error, the input of BigDL's forward in the JVM."""
    preprocessing = Preprocessing.from_dict(spec.preprocessing or {})
    unique, index = _unique(_rows(values))
    results = [_tensor(value, preprocessing) for value in unique]
    outputs, errors = _spread([r if isinstance(r, str) else r.reshape(-1) for r in results], index, NO_IMAGE)
    return pd.DataFrame({"tensor": _column(outputs), "error": _column(errors)})


# --- arrays -------------------------------------------------------------------------------------------------------


def _features(values: Iterable[Any], spec: ScoringSpec) -> list[Numbers | str]:
    def one(value: Any) -> Numbers | str:
        if value is None:
            return NO_FEATURES
        # A NULL element becomes NaN. In float64, because a mean may be subtracted that float32 cannot hold.
        array = np.asarray(value, dtype=np.float64)
        if array.shape != (spec.width,):
            return f"expected {spec.width} values, got {array.size}"
        finite = np.isfinite(array)
        if finite.all():
            return array
        if len(spec.columns) != spec.width:
            return "NULL, NaN or infinite value in the features"
        bad = [name for name, good in zip(spec.columns, finite, strict=True) if not good]
        return f"NULL, NaN or infinite value in {', '.join(bad[:5])}"

    return [one(value) for value in values]


def _scaled(values: pd.Series, spec: ScoringSpec) -> list[Numbers | str]:
    """Returns the checked, standardised arrays, or reasons."""
    assert spec.head is not None
    return _finite(_of_good(_features(values, spec), spec.head.scale))


def _finite(results: Sequence[Numbers | str]) -> list[Numbers | str]:
    """Replaces arrays that overflowed FLOAT by a reason."""
    return [r if isinstance(r, str) or np.isfinite(r).all() else TOO_LARGE for r in results]


def predict_arrays(values: pd.Series, spec: ScoringSpec) -> pd.DataFrame:
    """Returns the columns of :func:`predictions` for feature arrays, from the head."""
    assert spec.head is not None
    outputs = _finite(_of_good(_scaled(values, spec), spec.head.of_scaled))
    return predictions(*_apart(outputs), spec)


def scaled_arrays(values: pd.Series, spec: ScoringSpec) -> pd.DataFrame:
    """Returns the columns tensor (checked, standardised arrays) and error, the input of BigDL's forward in the JVM."""
    outputs, errors = _apart(_scaled(values, spec))
    return pd.DataFrame({"tensor": _column(outputs), "error": _column(errors)})


# --- results ------------------------------------------------------------------------------------------------------


def predictions(outputs: Sequence[Numbers | None], errors: list[str | None], spec: ScoringSpec) -> pd.DataFrame:
    """Turns raw outputs into the columns label, score, value, error, version, scores (probabilities in label order).

    A regressor has only a ``value``, in the units of its target; its label, score and scores are NULL.
    """
    nothing: list[Any] = [None] * len(outputs)
    columns: dict[str, list[Any]] = {"label": nothing, "score": nothing, "value": nothing}
    if spec.task == "regression":
        columns["value"] = [None if o is None else float(o[0]) for o in outputs]
        scores = nothing
    else:
        scores = _scores(outputs, spec)
        best = [None if s is None else int(s.argmax()) for s in scores]
        columns["label"] = [None if b is None else spec.labels[b] if spec.labels else str(b) for b in best]
        columns["score"] = [None if b is None else float(s[b]) for s, b in zip(scores, best, strict=True)]
    columns |= {"error": errors, "version": [spec.version] * len(outputs), "scores": scores}
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def _scores(outputs: Sequence[Numbers | None], spec: ScoringSpec) -> list[Any]:
    """Returns the probabilities of each row, or None if it has no output."""
    good: list[Any] = [o for o in outputs if o is not None]
    each = iter(_probabilities(np.stack(good), spec.scores_kind) if good else ())
    return [None if o is None else next(each) for o in outputs]


def _probabilities(outputs: Numbers, kind: str) -> npt.NDArray[np.float64]:
    return softmax(outputs) if kind == "logits" else outputs.astype(np.float64)


def _column(values: list[Any]) -> pd.Series:
    """Returns an object column, so that pandas does not turn None into NaN or arrays into a matrix."""
    column = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        column[i] = value
    return pd.Series(column)


def from_forward(forwarded: pd.Series, errors: pd.Series, spec: ScoringSpec) -> pd.DataFrame:
    """Turns BigDL's outputs (class scores as logits or log-probabilities) into the columns of :func:`predictions`."""
    outputs = [None if value is None else _restored(np.asarray(value, dtype=np.float32), spec) for value in forwarded]
    reasons = [
        TOO_LARGE if _overflows(output, spec) else None if error is None else str(error)
        for output, error in zip(outputs, errors, strict=True)
    ]
    good = [output if reason is None else None for output, reason in zip(outputs, reasons, strict=True)]
    return predictions(good, reasons, spec)


def _overflows(output: Numbers | None, spec: ScoringSpec) -> bool:
    """Whether a head computed infinity or NaN, as in :func:`_finite`; a network's log-probabilities may be infinite."""
    return spec.head is not None and output is not None and not np.isfinite(output).all()


def _restored(output: Floats, spec: ScoringSpec) -> Numbers:
    return output if spec.head is None else spec.head.restore(output)


def embedding_from_forward(forwarded: pd.Series, errors: pd.Series) -> pd.DataFrame:
    """Turns BigDL's outputs into the columns embedding and error."""
    return pd.DataFrame({"embedding": forwarded, "error": errors})


# --- inspecting pictures ------------------------------------------------------------------------------------------


def inspect_images(values: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Returns the columns width, height, channels, format and error of each picture."""
    unique, index = _unique(_rows(values))
    inspected = [_inspect(value) for value in unique]
    rows = [(None, None, None, None, NO_IMAGE) if i is None else inspected[i] for i in index]
    columns = list(zip(*rows, strict=True)) or [()] * 5
    names = ("width", "height", "channels", "format", "error")
    return pd.DataFrame({name: _column(list(c)) for name, c in zip(names, columns, strict=True)})


def _inspect(value: Any) -> tuple[int | None, int | None, int | None, str | None, str | None]:
    try:
        images.decode(value)  # a readable header does not prove that the pixels decode
        info = images.info(value)
    except images.ImageError as error:
        return None, None, None, None, str(error)
    return info.width, info.height, info.channels, info.format, None


def data_urls(values: pd.Series | pd.DataFrame, sides: pd.Series) -> pd.DataFrame:
    """Returns the column url: each picture as a JPEG whose sides are at most its row of ``sides`` pixels long.

    The url is NULL if the picture or the side is missing, or if the picture does not decode.
    """
    pairs = zip(_rows(values), sides, strict=True)
    urls = [
        None if value is None or pd.isna(side) or side < 1 else _data_url(value, int(side)) for value, side in pairs
    ]
    return pd.DataFrame({"url": _column(urls)})


def _data_url(value: Any, side: int) -> str | None:
    try:
        image = images.decode(value)
    except images.ImageError:
        return None
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def cpu_has_bf16(_: object = None) -> bool:
    """Whether this worker's CPU has bf16 (AVX-512 BF16 or AMX) and runs a network in it; the argument is for RDD.map."""
    return cpu_supports_bf16()
