"""The nodes of the OPC UA server as NodeSet2 XML, for tools that read nodes from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from sightline.core.errors import SettingError
from sightline.devices.loop import Loop
from sightline.devices.sinks.opcua import START_S, Settings, build_model, import_asyncua
from sightline.devices.sinks.opcua_model import NAMESPACE

PUBLISHED = "2026-11-29"  # when the nodes were changed last
BASE = {"ModelUri": "http://opcfoundation.org/UA/", "Version": "1.04", "PublicationDate": "2018-05-15T00:00:00Z"}


def write_nodeset(settings: Settings, path: Path) -> None:
    """Write the nodes that a server with these settings has as NodeSet2 XML, for tools that read nodes from a file.

    Raises MissingExtraError without asyncua, SettingError where the file cannot be written.
    """
    import_asyncua()
    loop = Loop("opcua nodeset")
    try:
        loop.run(_export(settings.station, path), START_S)
    except OSError as error:
        raise SettingError(f"{path}: cannot be written ({error}). Choose another place") from error
    finally:
        loop.close()


async def _export(station: str, path: Path) -> None:
    from asyncua import Server, ua
    from asyncua.common.ua_utils import get_nodes_of_namespace
    from asyncua.common.xmlexporter import XmlExporter

    async def nobody(_method: str, _given: Mapping[str, Any]) -> list[Any]:
        return []

    server = Server()
    await server.init()
    await build_model(ua, server, station, nobody)
    exporter = XmlExporter(server, export_values=True)  # values: arguments of methods and numbers of states are such
    await exporter.build_etree(await get_nodes_of_namespace(server, [NAMESPACE]))
    # Engineering tools ask which model it is, and on which it stands.
    models = Element("Models")
    model = SubElement(models, "Model", ModelUri=NAMESPACE, Version="1.0.0", PublicationDate=f"{PUBLISHED}T00:00:00Z")
    SubElement(model, "RequiredModel", BASE)
    exporter.etree.getroot().insert(1, models)
    await exporter.write_xml(path)
