"""The private names of other packages that this one uses, each with the reason why there is no public one for it."""

import ast
from pathlib import Path

import sklearn_bert

SOURCES = sorted(Path(sklearn_bert.__file__).parent.rglob("*.py"))
REASONS = {
    # scikit-learn
    "sklearn.base._fit_context": "checks the parameters and calls the callbacks as in scikit-learn's own estimators",
    "sklearn.utils._param_validation": "the classes of constraints, which scikit-learn's own estimators declare",
    "_validate_params": "a loaded estimator's parameters are checked as those of a fit are",
    "sklearn.utils._safe_indexing": "rows of any container, as in scikit-learn's cross-validation",
    "sklearn.utils.metaestimators._safe_split": "rows of any container, as in scikit-learn's cross-validation",
    "sklearn.utils.validation._check_feature_names": "errors about names of columns in scikit-learn's words",
    "sklearn.utils.validation._check_method_params": "splits metadata by rows, as in scikit-learn's cross-validation",
    "sklearn.utils.validation._check_sample_weight": "errors about weights in scikit-learn's words",
    # skorch
    "_set_training": "the one place where skorch switches between training and evaluation, which a net may override",
    # transformers
    "_attn_implementation": "which attention a config names; there is a public method to set it, and none to read it",
    "_can_set_attn_implementation": "older encoders cannot change their attention, and would warn",
    # torch
    "torch._C._are_functorch_transforms_active": "no public function says whether torch.func transforms a call",
    "torch.cpu._is_amx_tile_supported": "torch before 2.12 has no public list of a CPU's instructions",
    "torch.cpu._is_avx512_bf16_supported": "torch before 2.12 has no public list of a CPU's instructions",
    "torch.ops.aten._softmax_backward_data": "softmax backwards from its result; the operator has no other name",
    "_forward_hooks": "whether a module has any; no public function says so",
    "_forward_pre_hooks": "whether a module has any; no public function says so",
    "_has_any_global_hook": "whether a hook is called for all modules; no public function says so",
    "_modules": "the submodules; the public generators take several times as long, which counts in each prediction",
    "_parameters": "the parameters; the public generators take several times as long, which counts in each prediction",
    "_version": "counts the changes of a tensor in place; hashing the weights would take seconds",
    # Python
    "sys._getframe": "the module that called, for warnings; inspect.currentframe is the same function",
    "_replace": "a public method of named tuples",
}


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def own_names(tree):
    """Names that a file defines: functions, classes, variables, attributes of self and keys of attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr
        elif isinstance(node, ast.Dict):
            yield from (key.value for key in node.keys if isinstance(key, ast.Constant))


def private_names(tree, own):
    """Private names of other packages: the dotted path of what is imported, else the attribute's own name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from _shortest_private(node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            path = ast.unparse(node)
            yield path if path.split(".")[0] in ("torch", "sklearn", "skorch", "transformers", "sys") else node.attr


def _shortest_private(module, *names):
    for name in [module] if any(map(is_private, module.split("."))) else names:
        if any(map(is_private, name.split("."))):
            yield name


def test_private_names_of_other_packages_are_those_for_which_there_is_a_reason():
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES]
    own = {name for tree in trees for name in own_names(tree)}
    assert {name for tree in trees for name in private_names(tree, own)} - {"torch._C"} == REASONS.keys()
