//! What a benchmark runs on, read from the system: nobody types it in.

use std::{fs, path::Path, process::Command, time::Duration};

use nix::sys::{
    resource::{UsageWho, getrusage},
    statfs::{self, TMPFS_MAGIC},
    time::TimeVal,
};

use crate::Failure;

/// Hardware, system and state of the source.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The processor's model, and how many of them.
    pub processor: String,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Device and kind of the file system that the data are on.
    pub disk: String,
    /// The commit, with a mark if files differ from it.
    pub commit: String,
    /// Load average of the last minute.
    pub load: f64,
}

impl Machine {
    /// Looks at this machine, and at the disk that `data` is on.
    #[must_use]
    pub fn look(data: &Path) -> Self {
        let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let kib: u64 = memory.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Self {
            processor: format!("{cores} x {processor}"),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            disk: disk(data),
            commit: commit(),
            load: load(),
        }
    }
}

/// The load average of the last minute.
#[must_use]
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// CPU time of this process so far, all threads, user and system.
#[must_use]
pub fn cpu_time() -> Duration {
    let part = |time: TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| part(usage.user_time()) + part(usage.system_time()))
}

/// The most memory that a process had so far (VmHWM), in bytes; 0 where the system does not tell.
#[must_use]
pub fn peak_memory(process: u32) -> u64 {
    let peak = field(&format!("/proc/{process}/status"), "VmHWM").unwrap_or_default();
    peak.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Refuses a folder that is in memory: a sync there costs nothing and proves nothing.
///
/// # Errors
/// When it is, or can't be examined.
pub fn refuse_memory_disk(path: &Path) -> Result<(), Failure> {
    if statfs::statfs(path)?.filesystem_type() == TMPFS_MAGIC {
        return Err(
            format!("{} is a tmpfs: syncs cost nothing there; choose a folder on a disk", path.display()).into()
        );
    }
    Ok(())
}

/// The first line `name : value` of a file of the kernel's.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Device and file system of the longest mount point above `path`.
fn disk(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let path = path.canonicalize().unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?, words.next()?))
    });
    let above = mounts.filter(|(_, point, _)| path.starts_with(point));
    above
        .max_by_key(|(_, point, _)| point.len())
        .map_or_else(|| "unknown".to_owned(), |(device, _, kind)| format!("{kind} on {device}"))
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    if changed { format!("{commit} with local changes") } else { commit }
}
