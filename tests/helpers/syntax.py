"""Reading the package without running it."""

import ast
import tokenize
from pathlib import Path

from tests.helpers.shape_comments import ROOT

PACKAGE = ROOT / "minitvlt"


def list_modules(package: Path = PACKAGE) -> dict[str, ast.Module]:
    """Parse every module of a package: dotted name -> syntax tree."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text("utf-8"), str(path))
    return trees


def list_imports(tree: ast.Module) -> set[str]:
    """List what a module imports anywhere in it, by full dotted name; `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute in this package"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def list_own_imports(modules: dict[str, ast.Module]) -> dict[str, set[str]]:
    """List for each module those modules of the package that it imports; of a and a.b only a.b."""
    found = {}
    for name, tree in modules.items():
        own = list_imports(tree) & modules.keys()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):  # of a and a.b only a.b, unless a itself gives a name
                parts = {f"{node.module}.{alias.name}" for alias in node.names}
                own -= {node.module} if parts <= modules.keys() else set()
        found[name] = own - {name}
    return found


def list_code_lines(path: Path) -> set[int]:
    """List the lines of a file that hold code: no docstrings, comments or blank lines."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    quiet |= {tokenize.ENCODING, tokenize.ENDMARKER}
    with path.open("rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in quiet]
    rows = {row for token in tokens for row in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Expr(ast.Constant(str())):
                rows -= set(range(node.lineno, node.end_lineno + 1))
    return rows
