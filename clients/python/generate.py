#!/usr/bin/env python3
"""Writes src/tokenvault/v1 from the contract, proto/ at the root of the repository.

    generate.py           writes
    generate.py --check   says what is stale, and writes nothing

It needs grpcio-tools. The modules hold descriptors and build their messages by protobuf's public interface; what protoc
itself would write ties an installation to the one or two major versions of protobuf that its protoc came with.
"""

import argparse
import importlib.resources
import pathlib
import sys
import tempfile
import textwrap

import grpc_tools.protoc
from google.protobuf import descriptor_pb2

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "src" / "tokenvault" / "v1"
PACKAGE = "tokenvault/v1/"

MODULE = '''"""The messages of {name}.

Made by clients/python/generate.py: change the contract, not this file.
"""

from google.protobuf import descriptor_pool, message_factory
{imports}
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(
    bytes.fromhex(
{descriptor}
    )
)
{names}'''


def module_of(file):
    """The module of a file of the contract."""
    return file.removesuffix(".proto").replace("/", ".") + "_pb2"


def render(file):
    """The module of a file, as text."""
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
        for oneof in message.nested_type:
            raise SystemExit(f"{file.name}: {message.name}.{oneof.name}: a message within a message is not foreseen")
    encoded = file.SerializeToString(deterministic=True).hex()
    descriptor = "\n".join(f'        "{line}"' for line in textwrap.wrap(encoded, 100))
    imports = "".join(f"import {module_of(name)}  # noqa: F401\n" for name in file.dependency)
    names = ["_TYPES = DESCRIPTOR.message_types_by_name\n"] if file.message_type else []
    names += [
        f'{message.name} = message_factory.GetMessageClass(_TYPES["{message.name}"])\n' for message in file.message_type
    ]
    for enum in file.enum_type:
        names.append(f'{enum.name} = DESCRIPTOR.enum_types_by_name["{enum.name}"]\n')
        names.extend(f"{value.name} = {value.number}\n" for value in enum.value)
    return MODULE.format(name=file.name, imports=imports, descriptor=descriptor, names="".join(names))


def generate(proto):
    """All modules, by the names of their files."""
    files = sorted(str(file.relative_to(proto)) for file in (proto / PACKAGE).glob("*.proto"))
    if not files:
        raise SystemExit(f"there is no contract in {proto}")
    common = importlib.resources.files("grpc_tools") / "_proto"
    google = pathlib.Path(importlib.import_module("google.rpc.status_pb2").__file__).parents[2]
    with tempfile.TemporaryDirectory() as out:
        folder = pathlib.Path(out)
        where = [f"-I{proto}", f"-I{common}", f"-I{google}"]
        outputs = [f"--descriptor_set_out={out}/set", f"--pyi_out={out}"]
        if grpc_tools.protoc.main(["protoc", *where, *outputs, *files]) != 0:
            raise SystemExit("protoc refuses the contract")
        described = descriptor_pb2.FileDescriptorSet.FromString((folder / "set").read_bytes())
        opening = '"""The messages of the contract, made from proto/ by clients/python/generate.py."""\n'
        modules = {"__init__.py": opening}
        for file in described.file:
            name = pathlib.PurePosixPath(file.name).stem + "_pb2"
            modules[f"{name}.py"] = render(file)
            # protoc leaves out what mypy wants to know in strict mode.
            typed = (folder / PACKAGE / f"{name}.pyi").read_text().replace("_Mapping]", "_Mapping[str, object]]")
            modules[f"{name}.pyi"] = typed.rstrip() + "\n"
        return modules


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--proto", type=pathlib.Path, default=HERE.parents[1] / "proto")
    arguments = arguments.parse_args()
    modules = generate(arguments.proto.resolve())
    there = {file.name: file.read_text() for file in OUT.glob("*.py*") if file.is_file()}
    stale = sorted(name for name in {*modules, *there} if modules.get(name) != there.get(name))
    if arguments.check:
        if stale:
            sys.exit(f"stale: {', '.join(stale)}; run clients/python/generate.py")
        return
    for name in stale:
        if name in modules:
            (OUT / name).write_text(modules[name])
        else:
            (OUT / name).unlink()


if __name__ == "__main__":
    main()
