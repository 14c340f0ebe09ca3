"""The nodes of the OPC UA server as NodeSet2 XML, for tools that read nodes from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from sightline.core.errors import SettingError
from sightline.devices.loop import Loop
from sightline.devices.sinks.opcua import START_S, Settings, build_model, load_library
from sightline.devices.sinks.opcua_model import NAMESPACE

PUBLISHED = "2026-11-29"  # when the nodes were changed last
BASE = {"ModelUri": "http://opcfoundation.org/UA/", "Version": "1.04", "PublicationDate": "2018-05-15T00:00:00Z"}


def write_nodeset(settings: Settings, path: Path) -> None:
    """Write the nodes that a server with these settings has as NodeSet2 XML, for tools that read nodes from a file.

    Raises MissingExtraError without asyncua, SettingError where the file cannot be written.
    """
    asyncua = load_library("common.ua_utils", "common.xmlexporter")
    loop = Loop("opcua nodeset")
    try:
        loop.run(_export(asyncua, settings.station, path), START_S)
    except OSError as error:
        raise SettingError(f"{path}: cannot be written ({error}). Choose another place") from error
    finally:
        loop.close()


async def _export(asyncua: Any, station: str, path: Path) -> None:
    async def nobody(_method: str, _given: Mapping[str, Any]) -> list[Any]:
        return []

    server = asyncua.Server()
    await server.init()
    await build_model(asyncua.ua, server, station, nobody)
    # Values: arguments of methods and numbers of states are such.
    exporter = asyncua.common.xmlexporter.XmlExporter(server, export_values=True)
    nodes = await asyncua.common.ua_utils.get_nodes_of_namespace(server, [NAMESPACE])
    await exporter.build_etree(nodes)
    # Engineering tools ask which model it is, and on which it stands.
    models = Element("Models")
    model = SubElement(models, "Model", ModelUri=NAMESPACE, Version="1.0.0", PublicationDate=f"{PUBLISHED}T00:00:00Z")
    SubElement(model, "RequiredModel", BASE)
    exporter.etree.getroot().insert(1, models)
    await exporter.write_xml(path)
