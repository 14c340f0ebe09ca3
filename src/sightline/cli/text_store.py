"""What the commands of the store tell a person."""

from __future__ import annotations

from typing import Any

MAX = 10  # names in one list


def init(found: dict[str, Any]) -> str:
    """Where the store is."""
    return f"The store is ready.\n  database: {found['database']}\n  images: {found['images']}"


def add(found: dict[str, Any]) -> str:
    """How many went in, and what was refused."""
    text = f"{found['product']}: {found['added']} samples added, {found['present']} were there already"
    if found["hidden"]:
        text += f" ({found['hidden']} of them hidden, by a check or a rollback; a rollback brings them back)"
    if not found["refused"]:
        return text
    return f"{text}, {found['refused']} refused:" + "".join(f"\n  - {error}" for error in found["errors"])


def check(found: dict[str, Any]) -> str:
    """What is wrong, and what to do about it."""
    if found["damage"]:
        return (
            f"The database is damaged; no image was looked at, and nothing was removed:{_some(found['damage'])}\n"
            "Stop what writes into it, and bring a backup back with: sightline store restore FOLDER --db NEW.db"
        )
    lines = [f"{found['images']} images read."]
    if found["audit"]["broken"]:
        lines.append(f"{found['audit']['broken']}. Compare it with a backup, and find out who could write into it")
    for kind, remedy in (
        ("missing", "restore them from a backup, or add their folder again"),
        ("altered", "restore them from a backup"),
        ("orphaned", "removed" if found["repaired"] else "no row refers to them; remove them with --repair"),
    ):
        if found[kind]:
            lines.append(f"{len(found[kind])} {kind}: {remedy}" + _some(found[kind]))
    whole = "Nothing is missing, altered or orphaned."
    chain = f"The audit's {found['audit']['rows']} rows are whole; the last has the hash {found['audit']['head'][:16]}."
    return "\n".join(lines if len(lines) > 1 else [*lines, whole, chain])


def backup(found: dict[str, Any]) -> str:
    """What a backup has copied."""
    text = f"{found['folder']}: {found['database']} and {found['images']} images that were not there yet"
    return text + _left_out(found)


def restore(found: dict[str, Any]) -> str:
    """What a restore has brought back."""
    return f"restored from {found['folder']}: {found['database']} and {found['images']} images" + _left_out(found)


def _left_out(found: dict[str, Any]) -> str:
    altered = found["altered"]
    remedy = "other bytes than their names say; add them again"
    return f"\n{len(altered)} images were left out ({remedy}):{_some(altered)}" if altered else ""


def versions(found: list[dict[str, Any]]) -> str:
    """One line for each version and each recipe."""
    lines = []
    for version in found:
        frozen = ", test part frozen" if version["frozen"] else ""
        note = f": {version['note']}" if version["note"] else ""
        lines.append(f"{version['version']}  {version['hash'][:12]}  {version['samples']} samples{frozen}{note}")
        lines += [f"  recipe {recipe['name']}  {recipe['hash'][:12]}" for recipe in version["recipes"]]
    return "\n".join(lines) or "There are no versions. Create one with: sightline store snapshot PRODUCT"


def version(found: dict[str, Any]) -> str:
    """One version."""
    return versions([{**found, "recipes": []}])


def diff(found: dict[str, Any]) -> str:
    """The lists that are not empty."""
    lines = [f"{len(names)} {kind}" + _some(names) for kind, names in found.items() if names and kind != "frozen"]
    if found["frozen"]:
        lines.append(f"The test part is frozen in {found['frozen'][0]}, and not in the other.")
    return "\n".join(lines) or "The two versions are equal."


def export(found: dict[str, Any]) -> str:
    """Where the samples went."""
    return f"{found['folder']}: {found['version']} ({found['samples']} samples) as {found['format']}"


def register(found: dict[str, Any]) -> str:
    """The recipe and its version."""
    return f"{found['recipe']}  {found['hash'][:12]}  learned from {found['version']}"


def info(found: dict[str, Any]) -> str:
    """Where the store is, and what is in it."""
    products = [f"  {name}: {count} samples" for name, count in found["products"].items()]
    rows = [f"  {name}: {count}" for name, count in found["rows"].items() if count]
    return "\n".join(
        [f"database: {found['database']}", f"images: {found['images']}", "products:", *products, "rows:", *rows]
    )


def _some(names: list[str]) -> str:
    more = f"\n  and {len(names) - MAX} more" if len(names) > MAX else ""
    return "".join(f"\n  {name}" for name in names[:MAX]) + more
