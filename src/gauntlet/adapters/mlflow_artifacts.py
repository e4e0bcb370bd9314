"""S3 as an artifact store that only MLflow's server speaks to: a plugin of MLflow for addresses proxied-s3://BUCKET/."""

from collections.abc import Sequence

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository


class ProxiedS3(ArtifactRepository):  # type: ignore[misc]  # mlflow's classes are untyped here
    """What MLflow's own S3 store does, without handing its address out (docs/adr/0009-artifacts-through-mlflow.md).

    Of its own store MLflow's server tells clients to fetch from there directly, by signed addresses; a notebook on
    the host, or behind a firewall, does not know the name of that store and hangs for minutes.
    """

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._s3 = S3ArtifactRepository(artifact_uri.removeprefix("proxied-"), tracking_uri, registry_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file."""
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store the files of a folder."""
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> Sequence[FileInfo]:
        """Return what lies below a path."""
        found: Sequence[FileInfo] = self._s3.list_artifacts(path)
        return found

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove what lies below a path."""
        self._s3.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._s3._download_file(remote_file_path, local_path)
