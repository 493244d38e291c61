import pytest

from pyganeti.kvmd import admission

NODE = "node1.example.com"
WANTED = {
    "hypervisor_list": "xen-pvm\nkvm\n",
    "enabled_user_shutdown": "True\n",
    "node_vm_capable": f"node0.example.com=False\n{NODE}=True\n",
}


def _refusal(**changed: str | None) -> str | None:
    return admission.refusal({**WANTED, **changed}.get, NODE)


def test_node_of_a_cluster_that_asks_for_it_gets_it() -> None:
    assert _refusal() is None


def test_machine_without_a_cluster_gets_it() -> None:
    assert admission.refusal(lambda name: None, NODE) is None


@pytest.mark.parametrize("content", [None, "", "xen-pvm\n", "kvm2\n"])
def test_cluster_without_kvm_does_not(content: str | None) -> None:
    assert "KVM" in (_refusal(hypervisor_list=content) or "")


@pytest.mark.parametrize("content", [None, "", "False\n", "true\n", "TrueTrue"])
def test_cluster_that_does_not_switch_it_on_does_not(content: str | None) -> None:
    assert "user shutdown" in (_refusal(enabled_user_shutdown=content) or "")


@pytest.mark.parametrize(
    "content",
    [None, "", f"{NODE}=False\n", f"{NODE}\n", "node0.example.com=True\n", f"x{NODE}=True"],
)
def test_node_that_runs_no_instances_does_not(content: str | None) -> None:
    assert NODE in (_refusal(node_vm_capable=content) or "")
