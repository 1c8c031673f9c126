//! Local staging through the seam to the file system: what is visible is whole, whatever call fails.

use crate::support;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use icechatd::books::Placements;
use icechatd::decrypt::{Authenticated, Caps, Opener, SecretKeys, survey};
use icechatd::durable::{Access, Disk, FileSystem, Folder};
use icechatd::mailbox::Mailbox;
use icechatd::stage::local::{Layout, Local};
use icechatd::stage::{Placement, StageError, Target};
use support::firm::staged;
use support::gpg::{Encrypt, Gpg};

/// The only way to a proof is an export that verified.
fn proof() -> Authenticated {
    let gpg = Gpg::new();
    let key = gpg.generate("Firm <firm@contoso.com>", "");
    let secret = gpg.export_secret(&key, "");
    let file = tempfile::tempfile().unwrap();
    let ciphertext = gpg.encrypt(b"chat", &Encrypt { recipients: &[&key], ..Encrypt::default() });
    io::Write::write_all(&mut &file, &ciphertext).unwrap();
    let keys = SecretKeys::parse(&[("key".to_owned(), secret)], &[] as &[&[u8]]).unwrap();
    let caps = Caps { max_plaintext: 1 << 20, max_ratio: 1000 };
    let opener = Opener { keys: &keys, signers: None, caps };
    let read = |plaintext: &mut icechatd::decrypt::Plaintext| io::copy(plaintext, &mut io::sink());
    survey(&file, &opener, read).unwrap().1
}

/// The real file system, with a record of the calls, and faults on demand.
#[derive(Debug, Default)]
struct Watched {
    calls: Arc<Mutex<Vec<&'static str>>>,
    count: AtomicUsize,
    /// The call that fails, counted from 0.
    fail_at: Option<usize>,
    /// Links are refused with this error.
    no_links: Option<i32>,
    /// So many folders are removed as soon as they are made, by an importer that tidies up.
    tidied: AtomicUsize,
}

impl Watched {
    fn call<T>(&self, name: &'static str, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.calls.lock().unwrap().push(name);
        if self.fail_at == Some(self.count.fetch_add(1, Ordering::Relaxed)) {
            return Err(io::Error::from_raw_os_error(5));
        }
        match (name, self.no_links) {
            ("link" | "rename_new", Some(errno)) => Err(io::Error::from_raw_os_error(errno)),
            _ => call(),
        }
    }
}

impl FileSystem for Watched {
    fn open_folder(&self, parent: &Folder, name: &str) -> io::Result<Folder> {
        self.call("open_folder", || Disk.open_folder(parent, name))
    }
    fn make_folder(&self, parent: &Folder, name: &str, mode: u32) -> io::Result<()> {
        self.call("make_folder", || Disk.make_folder(parent, name, mode))?;
        let less_one = |left: usize| left.checked_sub(1).filter(|_| !name.starts_with('.'));
        if self.tidied.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less_one).is_ok() {
            rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }
    fn write_new(&self, folder: &Folder, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.call("write_new", || Disk.write_new(folder, name, mode, bytes))
    }
    fn append(&self, folder: &Folder, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call("append", || Disk.append(folder, name, bytes))
    }
    fn access(&self, folder: &Folder) -> io::Result<Access> {
        self.call("access", || Disk.access(folder))
    }
    fn set_access(&self, folder: &Folder, access: Access) -> io::Result<()> {
        self.call("set_access", || Disk.set_access(folder, access))
    }
    fn link(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        self.call("link", || Disk.link(from, name, to, new_name))
    }
    fn rename_new(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        // A copy is renamed within its own folder, which is possible where links from elsewhere are not.
        let within = name.starts_with('.');
        self.call(if within { "rename_within" } else { "rename_new" }, || Disk.rename_new(from, name, to, new_name))
    }
    fn rename_over(&self, from: &Folder, name: &str, to: &Folder, new_name: &str) -> io::Result<()> {
        self.call("rename_over", || Disk.rename_over(from, name, to, new_name))
    }
    fn unlink(&self, folder: &Folder, name: &str) -> io::Result<()> {
        self.call("unlink", || Disk.unlink(folder, name))
    }
    fn sync_file(&self, folder: &Folder, name: &str) -> io::Result<()> {
        self.call("sync_file", || Disk.sync_file(folder, name))
    }
    fn sync_folder(&self, folder: &Folder) -> io::Result<()> {
        self.call("sync_folder", || Disk.sync_folder(folder))
    }
    fn sync_all(&self, folder: &Folder) -> io::Result<()> {
        self.call("sync_all", || Disk.sync_all(folder))
    }
    fn read(&self, folder: &Folder, name: &str, limit: u64) -> io::Result<Vec<u8>> {
        self.call("read", || Disk.read(folder, name, limit))
    }
}

/// A few items for a few mailboxes each.
struct Batch {
    names: Vec<String>,
    bytes: Vec<Vec<u8>>,
    mailboxes: Vec<Vec<Mailbox>>,
}

impl Batch {
    fn new() -> Self {
        let mailbox = |name: &str| Mailbox::parse(&format!("{name}@contoso.com")).unwrap();
        Self {
            names: (0..5).map(|n| format!("20261119T13000{n}Z-{n:032}.eml")).collect(),
            bytes: (0..5)
                .map(|n| format!("Subject: {n}\r\n\r\n{}\r\n", "chat ".repeat(n * 100)).into_bytes())
                .collect(),
            mailboxes: (0..5)
                .map(|n| ["amy", "joe", "wei", "dora"][..=n % 4].iter().map(|name| mailbox(name)).collect())
                .collect(),
        }
    }

    /// Items that come after those.
    fn later() -> Self {
        let names = (0..5).map(|n| format!("20261119T14000{n}Z-{n:032}.eml")).collect();
        Self { names, ..Self::new() }
    }

    fn placements(&self) -> Vec<Placement<'_>> {
        (0..self.names.len())
            .map(|n| Placement { name: &self.names[n], bytes: &self.bytes[n], mailboxes: &self.mailboxes[n] })
            .collect()
    }

    fn count(&self) -> u64 {
        self.mailboxes.iter().map(Vec::len).sum::<usize>() as u64
    }

    /// Every visible file is whole and one of the batch; as many as there are to be, if all is said to be done.
    fn check(&self, root: &Path, all: bool) {
        let mut seen = 0;
        for (mailbox, items) in self.mailboxes.iter().flatten().map(|mailbox| (mailbox.as_str(), &self.names)) {
            for (name, bytes) in items.iter().zip(&self.bytes) {
                if let Ok(found) = fs::read(root.join(mailbox).join("ICE Chat").join(name)) {
                    assert_eq!(&found, bytes, "{name} of {mailbox} is not whole");
                    seen += 1;
                }
            }
        }
        assert!(seen > 0 || !all);
        if all {
            assert_eq!(staged(root).len() as u64, self.count());
        }
    }
}

/// How many EMLs stand in mailboxes' folders.
fn staged_names(root: &Path) -> usize {
    let mailboxes = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path().join("ICE Chat"));
    mailboxes.filter_map(|folder| fs::read_dir(folder).ok()).map(Iterator::count).sum()
}

fn stage_with(fs: Watched, root: &Path, copies: bool, proof: &Authenticated) -> Result<Placements, StageError> {
    let batch = Batch::new();
    let local = Local::with(fs, root, Layout { copies, ..Layout::default() }, 1)?;
    local.clear()?;
    let placements = local.stage(&batch.placements(), proof)?;
    local.barrier()?;
    Ok(placements)
}

#[test]
fn an_item_is_one_file_with_a_name_in_each_mailbox() {
    let (dir, proof) = (tempfile::tempdir().unwrap(), proof());
    let placements = stage_with(Watched::default(), dir.path(), false, &proof).unwrap();
    assert_eq!(placements, Placements { staged: Batch::new().count(), existing: 0 });
    Batch::new().check(dir.path(), true);
    let path = |mailbox: &str| dir.path().join(mailbox).join("ICE Chat").join(&Batch::new().names[3]);
    let (amy, dora) = (path("amy@contoso.com").metadata().unwrap(), path("dora@contoso.com").metadata().unwrap());
    assert_eq!(amy.ino(), dora.ino());
    assert_eq!(amy.permissions().mode() & 0o7777, 0o440);
    let again = stage_with(Watched::default(), dir.path(), false, &proof).unwrap();
    assert_eq!(again, Placements { staged: 0, existing: Batch::new().count() });
    Batch::new().check(dir.path(), true);
}

#[test]
fn copies_are_files_of_their_own_where_asked_for_and_where_links_are_impossible() {
    let proof = proof();
    // EXDEV, EMLINK, EPERM, EOPNOTSUPP.
    for (copies, no_links) in [(true, None), (false, Some(18)), (false, Some(31)), (false, Some(1)), (false, Some(95))]
    {
        let dir = tempfile::tempdir().unwrap();
        let watched = Watched { no_links, ..Watched::default() };
        let placements = stage_with(watched, dir.path(), copies, &proof).unwrap();
        assert_eq!(placements.staged, Batch::new().count(), "{copies} {no_links:?}");
        Batch::new().check(dir.path(), true);
        let path = |mailbox: &str| dir.path().join(mailbox).join("ICE Chat").join(&Batch::new().names[3]);
        let (amy, dora) = (path("amy@contoso.com").metadata().unwrap(), path("dora@contoso.com").metadata().unwrap());
        assert_ne!(amy.ino(), dora.ino());
        assert_eq!(dora.permissions().mode() & 0o7777, 0o440);
    }
}

/// Power may fail after any call: no name may be given before what it stands for was synced.
#[test]
fn nothing_is_named_before_it_is_durable() {
    let (dir, proof) = (tempfile::tempdir().unwrap(), proof());
    let watched = Watched::default();
    let calls = Arc::clone(&watched.calls);
    let local = Local::with(watched, dir.path(), Layout::default(), 1).unwrap();
    local.stage(&Batch::new().placements(), &proof).unwrap();
    local.barrier().unwrap();
    let calls = calls.lock().unwrap().clone();
    let first_name = calls.iter().position(|call| matches!(*call, "link" | "rename_new")).unwrap();
    let last_write = calls.iter().rposition(|call| *call == "write_new").unwrap();
    let sync = calls.iter().position(|call| *call == "sync_all").unwrap();
    assert!(last_write < sync && sync < first_name, "{calls:?}");
    assert_eq!(calls.last(), Some(&"sync_all"), "the names themselves are not durable");
}

/// Every call fails once: the batch fails, nothing half stands under a final name, and the next try mends it.
#[test]
fn any_failing_call_leaves_only_whole_files_and_the_next_try_completes() {
    let proof = proof();
    for copies in [false, true] {
        for fail_at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let watched = Watched { fail_at: Some(fail_at), ..Watched::default() };
            let failed = stage_with(watched, dir.path(), copies, &proof).is_err();
            Batch::new().check(dir.path(), !failed);
            stage_with(Watched::default(), dir.path(), copies, &proof).unwrap();
            Batch::new().check(dir.path(), true);
            if !failed {
                assert!(fail_at > 20, "too few calls were tried");
                break;
            }
        }
    }
}

/// The system tells a loss once. A batch that is placed beside the one that was told may be the one that lost something.
#[test]
fn after_a_failed_sync_no_other_batch_gets_its_names() {
    let proof = proof();
    let batch = Batch::new();
    let sync = {
        let (dir, watched) = (tempfile::tempdir().unwrap(), Watched::default());
        let calls = Arc::clone(&watched.calls);
        let local = Local::with(watched, dir.path(), Layout::default(), 1).unwrap();
        local.stage(&batch.placements(), &proof).unwrap();
        calls.lock().unwrap().iter().position(|call| *call == "sync_all").unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let watched = Watched { fail_at: Some(sync), ..Watched::default() };
    let local = Local::with(watched, dir.path(), Layout::default(), 1).unwrap();
    let (first, others) = (&batch.placements()[..], Batch::later());
    local.stage(first, &proof).unwrap_err();
    let error = local.stage(&others.placements(), &proof).unwrap_err();
    assert!(matches!(error, StageError::File(_)), "{error}");
    local.barrier().unwrap_err();
    assert_eq!(staged_names(dir.path()), 0);
}

#[test]
fn what_stands_there_with_other_content_is_never_replaced() {
    let (dir, proof) = (tempfile::tempdir().unwrap(), proof());
    let folder = dir.path().join("amy@contoso.com/ICE Chat");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(&Batch::new().names[0]);
    fs::write(&path, "something else").unwrap();
    let error = stage_with(Watched::default(), dir.path(), false, &proof).unwrap_err();
    assert!(matches!(error, StageError::Other { .. }), "{error}");
    assert_eq!(fs::read_to_string(path).unwrap(), "something else");
}

#[test]
fn a_link_planted_in_staging_leads_nowhere() {
    let (dir, outside, proof) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), proof());
    std::os::unix::fs::symlink(outside.path(), dir.path().join("amy@contoso.com")).unwrap();
    stage_with(Watched::default(), dir.path(), false, &proof).unwrap_err();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn an_importer_may_empty_staging_between_batches() {
    let (dir, proof) = (tempfile::tempdir().unwrap(), proof());
    let local = Local::open(dir.path(), Layout::default(), 2).unwrap();
    let batch = Batch::new();
    local.stage(&batch.placements(), &proof).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_str().unwrap().starts_with('.') {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let placements = local.stage(&batch.placements(), &proof).unwrap();
    assert_eq!(placements.staged, batch.count());
    batch.check(dir.path(), true);
}

/// A folder in which nothing stands yet may go in the moment in which it was made.
#[test]
fn an_importer_may_remove_a_folder_as_soon_as_it_is_made() {
    let (dir, proof) = (tempfile::tempdir().unwrap(), proof());
    let watched = Watched { tidied: AtomicUsize::new(20), ..Watched::default() };
    let placements = stage_with(watched, dir.path(), false, &proof).unwrap();
    assert_eq!(placements.staged, Batch::new().count());
    Batch::new().check(dir.path(), true);
}

#[test]
fn a_batch_is_cut_by_its_placements() {
    let mailboxes: Vec<Mailbox> = (0..9).map(|n| Mailbox::parse(&format!("m{n}@contoso.com")).unwrap()).collect();
    let item = |count: usize| Placement { name: "n", bytes: b"", mailboxes: &mailboxes[..count] };
    let cut = |counts: &[usize], most: usize| {
        let batch: Vec<_> = counts.iter().map(|count| item(*count)).collect();
        icechatd::stage::parts(&batch, most).map(<[Placement<'_>]>::len).collect::<Vec<_>>()
    };
    assert_eq!(cut(&[1, 1, 1, 2, 9, 1], 3), [3, 1, 1, 1]);
    assert_eq!(cut(&[9, 9], 1), [1, 1]);
    assert_eq!((cut(&[], 3), cut(&[4, 5], usize::MAX)), (vec![], vec![2]));
}
