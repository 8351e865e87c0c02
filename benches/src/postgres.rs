//! A PostgreSQL server that lives as long as a benchmark: the one that is installed, with data, socket and settings of
//! its own. It listens on no network address.
//!
//! It never runs as root: where the benchmark does, the server runs as the user `postgres` of its package. It is
//! watched by a keeper, this program started again, which ends it, by its process id, when the benchmark ends, however
//! that ends: the keeper's input is closed then.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, getegid, geteuid},
};
use tempfile::TempDir;
use vault_domain::{Clock, SystemClock};

use crate::Failure;

/// The first argument of a keeper's process.
const KEEP: &str = "keep-postgres";
/// Who runs the server where the benchmark runs as root; Debian's package makes it.
const ACCOUNT: &str = "postgres";
/// The role in the database.
pub const ROLE: &str = "bench";
const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// The kernel counts CPU time in hundredths of a second wherever Linux tells it to programs (USER_HZ).
const TICK: Duration = Duration::from_millis(10);
/// What is the same in all runs. Without the first three a commit would prove nothing; the next two keep checkpoints
/// out of the runs.
const SETTINGS: [&str; 8] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "max_wal_size=4GB",
    "checkpoint_timeout=1h",
    "max_connections=100",
    "listen_addresses=",
    "unix_socket_permissions=0700",
];

/// A server that runs.
pub struct PostgresProcess {
    keeper: Child,
    question: Option<ChildStdin>,
    server: u32,
    socket: TempDir,
    // Removed when the keeper has ended.
    _data: TempDir,
}

/// Whose the server's files and process are.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl PostgresProcess {
    /// Makes a new cluster on the disk of `near` and starts a server for it, with so much memory for its pages.
    ///
    /// # Errors
    /// When there is no PostgreSQL, or it does not come up; the text says which, in one line.
    pub fn start(near: &Path, shared_buffers: &str) -> Result<Self, Failure> {
        let programs = programs().ok_or("it is not installed (.ci/setup.sh bench installs it)")?;
        let account = account()?;
        let data = folder_for(account, near)?;
        let socket = tempfile::Builder::new().prefix("floors-").tempdir()?;
        chown(socket.path(), Some(account.uid), Some(account.gid))?;
        let cluster = data.path().join("cluster");
        let log = data.path().join("log");
        let made = Command::new(programs.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8", "--username", ROLE, "--pgdata"])
            .arg(&cluster)
            .current_dir("/")
            .uid(account.uid)
            .gid(account.gid)
            .output()?;
        if !made.status.success() {
            return Err(format!("initdb failed: {}", last_line(&made.stderr)).into());
        }
        let mut keeper = Command::new(std::env::current_exe()?);
        keeper.arg(KEEP).arg(&log).args([account.uid.to_string(), account.gid.to_string()]);
        keeper.arg(programs.join("postgres")).arg("-D").arg(&cluster);
        keeper.arg("-c").arg(format!("unix_socket_directories={}", socket.path().display()));
        keeper.arg("-c").arg(format!("shared_buffers={shared_buffers}"));
        for setting in SETTINGS {
            keeper.args(["-c", setting]);
        }
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let question = keeper.stdin.take();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().ok_or("the keeper has no output")?).read_line(&mut line)?;
        let Ok(server) = line.trim().parse() else {
            keeper.wait()?;
            return Err(format!("it did not start: {}", last_line(&fs::read(&log).unwrap_or_default())).into());
        };
        Ok(Self { keeper, question, server, socket, _data: data })
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// CPU time of all of the server's processes so far, of those that ended too.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let children = format!("/proc/{0}/task/{0}/children", self.server);
        let children = fs::read_to_string(children).unwrap_or_default();
        let children: u32 = children.split_whitespace().map(|child| ticks(child, 2)).sum();
        TICK * (children + ticks(&self.server.to_string(), 4))
    }

    fn end(&mut self) -> io::Result<bool> {
        drop(self.question.take());
        Ok(self.keeper.wait()?.success())
    }

    /// Lets it end in good order.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn stop(mut self) -> Result<(), Failure> {
        if self.end()? { Ok(()) } else { Err("PostgreSQL did not end in good order".into()) }
    }
}

impl Drop for PostgresProcess {
    fn drop(&mut self) {
        // Its folders are removed next. Who got here without `stop` has a failure to tell already.
        let _ended = self.end();
    }
}

/// Keeps a server until standard input is closed, if this process was started to; `None` if it was not.
#[must_use]
pub fn keep_if_asked() -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != KEEP {
        return None;
    }
    Some(keep(arguments))
}

fn keep(mut arguments: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (log, uid, gid, program) = (next()?, next()?.parse()?, next()?.parse()?, next()?);
    let arguments: Vec<String> = arguments.collect();
    let cluster = arguments.get(1).ok_or("the cluster is missing")?;
    let log = File::create(log)?;
    let mut server = Command::new(program)
        .args(&arguments)
        .current_dir("/")
        .uid(uid)
        .gid(gid)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    let id = server.id();
    if !comes_up(&mut server, &Path::new(cluster).join("postmaster.pid"))? {
        end(&mut server)?;
        return Err("PostgreSQL did not come up".into());
    }
    let mut out = io::stdout();
    writeln!(out, "{id}")?;
    out.flush()?;
    // Nothing is ever said: this returns when the benchmark is gone.
    io::stdin().read_to_end(&mut Vec::new()).ok();
    end(&mut server)
}

/// Waits until the server says so in its own file, where the state stands in the eighth line.
fn comes_up(server: &mut Child, state: &Path) -> io::Result<bool> {
    let clock = SystemClock::new();
    while clock.monotonic() < START_MAX && server.try_wait()?.is_none() {
        let state = fs::read_to_string(state).unwrap_or_default();
        if state.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
            return Ok(true);
        }
        thread::sleep(LOOK);
    }
    Ok(false)
}

/// Fast shutdown: open connections are cut, what was committed is written out. If that takes too long, at once.
fn end(server: &mut Child) -> Result<(), Failure> {
    let id = Pid::from_raw(i32::try_from(server.id())?);
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        if let Some(status) = server.try_wait()? {
            return if status.success() { Ok(()) } else { Err(format!("PostgreSQL ended with {status}").into()) };
        }
        kill(id, signal)?;
        let clock = SystemClock::new();
        while clock.monotonic() < STOP_MAX && server.try_wait()?.is_none() {
            thread::sleep(LOOK);
        }
    }
    let status = server.wait()?;
    if status.success() { Ok(()) } else { Err(format!("PostgreSQL ended with {status}").into()) }
}

/// The folder that has the server's programs: Debian's newest, or one in the search path.
fn programs() -> Option<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<(u32, PathBuf)> = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    debian.sort_unstable();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = debian.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    all.into_iter().find(|folder| ["initdb", "postgres"].iter().all(|name| folder.join(name).is_file()))
}

fn account() -> Result<Account, Failure> {
    if !geteuid().is_root() {
        return Ok(Account { uid: geteuid().as_raw(), gid: getegid().as_raw() });
    }
    let user = User::from_name(ACCOUNT)?.ok_or("it does not run as root, and there is no user `postgres`")?;
    Ok(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// A new folder that the server's user can reach and write in: under `near`, or elsewhere on the same disk, so that the
/// same syncs are compared.
fn folder_for(account: Account, near: &Path) -> Result<TempDir, Failure> {
    let disk = fs::metadata(near)?.dev();
    for parent in [near, Path::new("/var/tmp"), Path::new("/var/lib/postgresql")] {
        let on_disk = fs::metadata(parent).is_ok_and(|parent| parent.dev() == disk);
        let open = |folder: &Path| {
            fs::metadata(folder).is_ok_and(|folder| folder.mode() & 0o001 != 0 || folder.uid() == account.uid)
        };
        if on_disk && parent.canonicalize()?.ancestors().all(open) {
            let mode = Permissions::from_mode(0o700);
            let folder = tempfile::Builder::new().prefix("postgres-").permissions(mode).tempdir_in(parent)?;
            chown(folder.path(), Some(account.uid), Some(account.gid))?;
            return Ok(folder);
        }
    }
    Err(format!("its user can reach no folder on the disk of {}", near.display()).into())
}

/// CPU time of a process in ticks: the first `fields` of utime, stime, cutime, cstime (proc(5)). Zero if it is gone.
fn ticks(process: &str, fields: usize) -> u32 {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program may hold anything, and stands in parentheses; the state follows.
    let behind_name = line.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_whitespace().skip(11).take(fields).filter_map(|ticks| ticks.parse::<u32>().ok()).sum()
}

fn last_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it said nothing")
        .to_owned()
}
