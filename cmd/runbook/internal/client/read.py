"""Reads packages (.conda, .tar.bz2) whole with conda-package-streaming and indexes (.json, .json.bz2, .json.zst and
_shards.msgpack.zst, which must hold what the .json beside it does) as conda does, and prints a line of JSON for each file
named on standard input: what is in it, or what is wrong with it."""
import bz2
import hashlib
import json
import os
import sys

import msgpack
import zstandard
from conda_package_streaming.package_streaming import stream_conda_component


def members(name):
    for component in ("info", "pkg") if name.endswith(".conda") else ("pkg",):
        for tar, member in stream_conda_component(name, component=component):
            yield member, tar.extractfile(member).read() if member.isreg() else b""


def package(name):
    seen, notes, size = {}, {}, 0
    for member, data in members(name):
        seen[member.name] = hashlib.sha256(data).hexdigest() if member.isreg() else None
        size += len(data)
        if member.name in ("info/index.json", "info/paths.json", "info/files"):
            notes[member.name] = data.decode()
    checked = 0
    for path in json.loads(notes.get("info/paths.json", '{"paths": []}'))["paths"]:
        have, want = seen.get(path["_path"]), path.get("sha256")
        if have and want and path.get("path_type") == "hardlink":
            assert have == want, f"{path['_path']} is not what info/paths.json says"
            checked += 1
    missing = set(notes.get("info/files", "").splitlines()) - set(seen) - {""}
    assert not missing, f"lacks {sorted(missing)[:3]}"
    return {"members": len(seen), "bytes": size, "checked": checked, "index": json.loads(notes["info/index.json"])}


def once(pairs):
    assert len(dict(pairs)) == len(pairs), "a name stands twice in one object"
    return dict(pairs)


def single(decompressor, data):
    # Some clients stop after the first frame or stream, so there must be no second.
    text = decompressor.decompress(data)
    assert decompressor.eof if hasattr(decompressor, "eof") else text, "is cut short"
    assert not decompressor.unused_data, "has more than one frame"
    return text


def index(name):
    with open(name, "rb") as file:
        text = file.read()
    if name.endswith(".bz2"):
        text = single(bz2.BZ2Decompressor(), text)
    elif name.endswith(".zst"):
        text = single(zstandard.ZstdDecompressor().decompressobj(), text)
    records = json.loads(text, object_pairs_hook=once)
    count = sum(len(records.get(key, {})) for key in ("packages", "packages.conda"))
    return {"members": count, "bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}


def unpacked(data):
    return msgpack.unpackb(single(zstandard.ZstdDecompressor().decompressobj(), data))


def plain(record):
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in record.items()}


def shards(name):
    folder = os.path.dirname(name)
    with open(name, "rb") as file:
        listed = unpacked(file.read())
    found = {"packages": {}, "packages.conda": {}}
    for package_name, digest in listed["shards"].items():
        with open(os.path.join(folder, listed["info"]["shards_base_url"], digest.hex() + ".msgpack.zst"), "rb") as file:
            data = file.read()
        assert hashlib.sha256(data).digest() == digest, f"the shard of {package_name} is another"
        for kind, records in unpacked(data).items():
            if kind in found:
                assert all(record["name"] == package_name for record in records.values()), f"{package_name} has others' records"
                found[kind].update((file_name, plain(record)) for file_name, record in records.items())
    with open(os.path.join(folder, "repodata.json"), "rb") as file:
        index = json.load(file)
    for kind, records in found.items():
        assert records == index.get(kind, {}), f"{kind} are not those of repodata.json"
    return {"members": sum(map(len, found.values())), "checked": len(listed["shards"])}


def read(name):
    base = os.path.basename(name)
    if base.endswith("_shards.msgpack.zst"):
        return shards(name)
    return index(name) if ".json" in base else package(name)


for line in sys.stdin:
    name = line.rstrip("\n")
    try:
        found = read(name)
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"file": name, **found}))
