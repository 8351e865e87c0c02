//! Every limit of the vault, by name. Passing one is a clear error, never a slow or silent failure.
//!
//! Units stand last in the name. A limit that a user can meet is listed in docs/ARCHITECTURE.md.

use std::time::Duration;

/// Items in one request.
pub const BATCH_ITEMS_MAX: usize = 1000;
/// Distinct data classes in one request: bounds the decisions of a call and the groups of its entry.
pub const REQUEST_CLASSES_MAX: usize = 32;
/// One request message, encoded.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// One value.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// The text of one token. Nothing the vault issues is longer, but for values that are.
pub const TOKEN_BYTES_MAX: usize = VALUE_BYTES_MAX;

/// A region's name.
pub const REGION_BYTES_MAX: usize = 16;
/// The name of a tenant, data class, audience or purpose.
pub const NAME_BYTES_MAX: usize = 64;
/// The vault's own name.
pub const VAULT_ID_BYTES_MAX: usize = 63;
/// A principal's id.
pub const PRINCIPAL_BYTES_MAX: usize = 256;
/// The header of an access token or of a proof: a token of 8 KiB, and its scheme.
pub const ACCESS_TOKEN_HEADER_BYTES_MAX: usize = 8 * 1024 + 16;
/// Access tokens on the deny-list of a node.
pub const DENIED_TOKENS_MAX: usize = 100_000;
/// Catalog and policies of one version, in bytes.
pub const RULES_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Files of policies in one version.
pub const RULES_FILES_MAX: usize = 255;
/// Versions of catalog and policies that a node keeps; the oldest go first, the newest never.
pub const RULES_VERSIONS_MAX: usize = 1000;
/// All versions that a node keeps, in bytes.
pub const RULES_VERSIONS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Data classes whose settings a vault keeps in mind while it serves, whether they still are in the catalog or not.
pub const RULES_CLASSES_MAX: usize = 65_536;
/// A free reference.
pub const REFERENCE_BYTES_MAX: usize = 64;
/// Digits in a row that a free reference may hold; a card number has 13 or more (ISO/IEC 7812: 12 to 19).
pub const REFERENCE_DIGIT_RUN_MAX: usize = 12;
/// The name of a data subject.
pub const SUBJECT_BYTES_MAX: usize = 128;
/// An idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// How long a request that used a token up is answered again under its idempotency key without another use.
pub const RETRY_WINDOW: Duration = Duration::from_secs(60);

/// How long a record that has ended is kept before it is deleted: as long as the requests that made it, changed it or
/// used it up are answered again.
pub const PURGE_DELAY: Duration = IDEMPOTENCY_WINDOW;

/// How far from the vault's own time the timestamp of a call may be, unless the configuration says otherwise.
pub const REPLAY_WINDOW_DEFAULT: Duration = Duration::from_secs(120);
/// The narrowest such window: clocks of machines are not nearer to each other.
pub const REPLAY_WINDOW_MIN: Duration = Duration::from_secs(10);
/// The widest such window: nonces are kept for twice as long.
pub const REPLAY_WINDOW_MAX: Duration = Duration::from_secs(600);
/// Nonces of so much time are kept, and let go, together.
pub const NONCE_BUCKET: Duration = Duration::from_secs(300);

/// An entry of the log: the length prefix of C2SP tlog-tiles entry bundles is 16 bits.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Entries that one page of an access-log query returns.
pub const QUERY_PAGE_ENTRIES_MAX: usize = 1000;
/// Entries that one page of an access-log query returns when the caller names no number.
pub const QUERY_PAGE_ENTRIES_DEFAULT: usize = 100;
/// Entries that one page of a query may read while it looks for matches; then it returns what it has and a page token.
/// Some 40 ms; what costs more than to read an entry counts for as many as it costs, to open one for four.
pub const QUERY_SCAN_ENTRIES_MAX: u64 = 150_000;
/// The same of one part of a count.
pub const COUNT_SCAN_ENTRIES_MAX: u64 = 1_000_000;
/// Groups with which one part of a count of entries ends; the run or span of entries that brings it there is counted
/// whole, a span only if it has no more of them by itself.
pub const COUNT_GROUPS_MAX: usize = 1000;

/// Searches of a log that run at once; the next one waits.
pub const SEARCHES_MAX: usize = 4;

/// Submissions that may wait for the journal; the next one is told to come back.
pub const JOURNAL_QUEUE_MAX: usize = 4096;
/// Bytes of one commit group; what comes later waits for the next group.
pub const JOURNAL_GROUP_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Times that a call is tried again when a condition of its commit failed.
pub const COMMIT_TRIES_MAX: usize = 5;
/// Record numbers that are reserved at once.
pub const RECORD_NUMBER_BLOCK: u64 = 1 << 16;

/// Fresh candidates that are drawn for one format-preserving token before its space counts as used up.
pub const CANDIDATE_DRAWS_MAX: usize = 16;
/// The smallest space of a format-preserving token; below it a guess is too cheap.
pub const FORMAT_PRESERVING_SPACE_MIN: u64 = 1_000_000;

/// Seals under one epoch key: the nonce's counter has 32 bits.
pub const SEALS_PER_EPOCH_MAX: u64 = 1 << 32;
/// How long one epoch lasts.
pub const EPOCH_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// How often a checkpoint is signed while there is news.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// How far wall time and monotonic time may drift apart between two looks before the clock counts as doubtful.
pub const CLOCK_STEP_MAX: Duration = Duration::from_secs(60);

/// How long a unary call may take when its caller states no shorter deadline.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// How long a stream may last when its caller states no shorter deadline.
pub const STREAM_DEADLINE: Duration = Duration::from_secs(3600);
/// How long a stream may wait for a message while nothing of it is being worked on.
pub const STREAM_IDLE: Duration = Duration::from_secs(300);
/// One message of a stream, encoded.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Streams that are open at once: with the limits above, this bounds the memory that they take.
pub const STREAMS_MAX: usize = 64;
/// Streams of one principal that are open at once.
pub const PRINCIPAL_STREAMS_MAX: usize = 16;
/// Commits of one stream that are under way at once, and those done that wait for an older one's answer.
pub const STREAM_COMMITS_MAX: usize = 6;
/// How long a TLS handshake may take.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Handshakes that run at once.
pub const HANDSHAKES_MAX: usize = 256;
/// Connections that are open at once.
pub const CONNECTIONS_MAX: usize = 4096;
/// Calls on one connection that are open at once (HTTP/2 SETTINGS_MAX_CONCURRENT_STREAMS).
pub const CONNECTION_CALLS_MAX: u32 = 1024;
/// Bytes of requests that are in memory at once, over all connections; beyond, nothing is read until there is room.
pub const INTAKE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of each request that need no such room: a small request never waits for large ones.
pub const INTAKE_FREE_BYTES: usize = 16 * 1024;
/// How long calls in flight may go on after the vault was told to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Regions that one vault serves.
pub const REGIONS_MAX: usize = 16;
/// Data classes in one catalog.
pub const CLASSES_MAX: usize = 1024;
/// Service accounts in one catalog.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Decisions that are kept at once.
pub const DECISIONS_CACHED_MAX: usize = 65_536;

const _: () = assert!(BATCH_ITEMS_MAX as u64 <= RECORD_NUMBER_BLOCK, "one request fits one block of numbers");
const _: () = assert!(REQUEST_BYTES_MAX < INTAKE_BYTES_MAX, "one request finds room");
const _: () = assert!(VALUE_BYTES_MAX < REQUEST_BYTES_MAX, "one value fits one request");
