import httpx
import pytest
from conftest import unique
from storage3.exceptions import StorageApiError

TEXT = {"content-type": "text/plain"}


@pytest.fixture(scope="module")
def storage(service):
    return service.storage


@pytest.fixture(scope="module")
def bucket(storage):
    name = unique("files")
    storage.create_bucket(name, options={"public": False, "file_size_limit": 1_000_000, "allowed_mime_types": ["text/*"]})
    yield name
    storage.empty_bucket(name)
    storage.delete_bucket(name)


@pytest.fixture(scope="module")
def files(storage, bucket):
    return storage.from_(bucket)


def test_a_bucket_can_be_read_listed_and_changed(storage, bucket):
    read = storage.get_bucket(bucket)
    assert (read.id, read.public, read.file_size_limit, read.allowed_mime_types) == (bucket, False, 1_000_000, ["text/*"])
    assert bucket in [each.id for each in storage.list_buckets()]
    name = unique("brief")
    storage.create_bucket(name)
    storage.update_bucket(name, {"public": True})
    assert storage.get_bucket(name).public is True
    storage.delete_bucket(name)
    with pytest.raises(StorageApiError):
        storage.get_bucket(name)


def test_what_is_uploaded_is_what_is_downloaded(files, bucket):
    made = files.upload("folder/a b/notes.txt", b"hello", TEXT)
    assert made.path == "folder/a b/notes.txt"
    assert made.full_path == f"{bucket}/folder/a b/notes.txt"
    assert files.download("folder/a b/notes.txt") == b"hello"


def test_a_name_is_taken_once_unless_upserting_or_updating(files):
    files.upload("taken.txt", b"one", TEXT)
    with pytest.raises(StorageApiError) as refusal:
        files.upload("taken.txt", b"two", TEXT)
    assert refusal.value.message == "The resource already exists"
    files.upload("taken.txt", b"three", {**TEXT, "upsert": "true"})
    assert files.download("taken.txt") == b"three"
    files.update("taken.txt", b"four", TEXT)
    assert files.download("taken.txt") == b"four"


def test_limits_of_the_bucket_hold(files):
    with pytest.raises(StorageApiError):
        files.upload("large.txt", bytes(1_000_001), TEXT)
    with pytest.raises(StorageApiError):
        files.upload("image.png", b"x", {"content-type": "image/png"})


def test_a_folder_lists_its_files_and_folders(files):
    for name in ("b.txt", "a.txt", "deep/c.txt"):
        files.upload(f"listing/{name}", name.encode(), TEXT)
    rows = {row["name"]: row for row in files.list("listing")}
    assert sorted(rows) == ["a.txt", "b.txt", "deep"]
    assert rows["deep"]["id"] is None
    assert rows["a.txt"]["metadata"]["size"] == 5


def test_a_file_tells_about_itself(files):
    files.upload("about.txt", b"hello", TEXT)
    assert files.info("about.txt")["size"] == 5
    assert files.exists("about.txt") is True


def test_signed_addresses_open_files_for_a_while(files):
    for name in ("one", "two"):
        files.upload(f"signed/{name}.txt", name.encode(), TEXT)
    answer = files.create_signed_url("signed/one.txt", 60)
    assert httpx.get(answer["signedURL"]).text == "one"
    assert httpx.get(answer["signedURL"].replace("one.txt", "two.txt")).status_code == 400
    many = files.create_signed_urls(["signed/two.txt", "signed/none.txt"], 60)
    assert httpx.get(many[0]["signedURL"]).text == "two"
    assert many[1]["error"]


def test_files_move_copy_and_go(files):
    files.upload("from.txt", b"moving", TEXT)
    files.move("from.txt", "to.txt")
    files.copy("to.txt", "copied.txt")
    assert files.download("copied.txt") == b"moving"
    with pytest.raises(StorageApiError):
        files.download("from.txt")
    assert [row["name"] for row in files.remove(["to.txt", "nothing.txt"])] == ["to.txt"]


def test_a_public_bucket_is_open_to_read(storage):
    name = unique("open")
    storage.create_bucket(name, options={"public": True})
    storage.from_(name).upload("hello.txt", b"hello", TEXT)
    assert httpx.get(storage.from_(name).get_public_url("hello.txt")).text == "hello"
    storage.empty_bucket(name)
    storage.delete_bucket(name)


def test_a_private_file_is_closed_to_everybody_else(files, bucket, anonymous, signed_in):
    files.upload("secret.txt", b"secret", TEXT)
    assert httpx.get(files.get_public_url("secret.txt")).status_code == 400
    app, _ = signed_in()
    for caller in (anonymous(), app):
        theirs = caller.storage.from_(bucket)
        with pytest.raises(StorageApiError):
            theirs.download("secret.txt")
        with pytest.raises(StorageApiError):
            theirs.create_signed_url("secret.txt", 60)
        with pytest.raises(StorageApiError):
            theirs.upload(unique("x"), b"x", TEXT)
    assert files.download("secret.txt") == b"secret"
