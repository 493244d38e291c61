from pathlib import Path

from pyganeti.base import paths
from pyganeti.noded import leaving, queuefiles


def place(root: Path) -> tuple[paths.Paths, Path]:
    layout = paths.Paths(root, "node1.example.com")
    archived = layout.queue_dir / "archive/0/job-1"
    archived.parent.mkdir(parents=True)
    archived.write_text("{}")
    (layout.queue_dir / "job-2").write_text("{}")
    return layout, archived


def test_archived_jobs_outlive_that_the_queue_is_begun_anew(tmp_path: Path) -> None:
    layout, archived = place(tmp_path)
    queuefiles.purge(layout)
    assert archived.exists()
    assert not (layout.queue_dir / "job-2").exists()


def test_a_node_that_leaves_keeps_no_archived_jobs(tmp_path: Path) -> None:
    layout, archived = place(tmp_path)
    leaving.remove_secrets(layout)
    assert not archived.exists()
