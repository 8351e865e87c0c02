//! A token vault by hand over PostgreSQL: what is built where there is a database already.
//!
//! A table of tokens with a column that the client seals, and an audit table. Each call is one prepared statement that
//! writes its audit row too, so that one round trip is one transaction and one commit; batches go as arrays. There is
//! a connection for each call in flight, over a Unix socket. The client takes a call for answered when the server is
//! ready for the next one, which is behind the commit: rows that came before it are not handed on.

use std::{
    collections::HashMap,
    error::Error,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_postgres::{
    Client, Config, NoTls, Statement,
    types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked},
};
use vault_crypto::CallRandom;
use vault_domain::{Clock, SystemEntropy};

use super::{Caller, Job, PRINCIPAL, Run, Seals, Token, fill_calls};
use crate::{
    Failure,
    load::{Outcome, Verb},
    machine::cpu_time,
    measure::Latencies,
    postgres::{PostgresProcess, ROLE},
    server::Counters,
};

/// As large as the vault's block cache by default.
const SHARED_BUFFERS: &str = "512MB";
const SHARED_BUFFERS_TINY: &str = "16MB";
const TABLES: &str = "
    CREATE TABLE tokens (
        token uuid PRIMARY KEY, value bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE audit (
        id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), principal text NOT NULL, action text NOT NULL,
        tokens uuid[] NOT NULL);";
const TOKENIZE_ONE: &str = "
    WITH noted AS (INSERT INTO audit (principal, action, tokens) VALUES ($3, 'tokenize', ARRAY[$1::uuid]))
    INSERT INTO tokens (token, value) VALUES ($1::uuid, $2::bytea)";
const TOKENIZE_MANY: &str = "
    WITH noted AS (INSERT INTO audit (principal, action, tokens) VALUES ($3, 'tokenize', $1::uuid[]))
    INSERT INTO tokens (token, value) SELECT * FROM unnest($1::uuid[], $2::bytea[])";
const DETOKENIZE_ONE: &str = "
    WITH noted AS (INSERT INTO audit (principal, action, tokens) VALUES ($2, 'detokenize', ARRAY[$1::uuid]))
    SELECT token, value FROM tokens WHERE token = $1::uuid";
const DETOKENIZE_MANY: &str = "
    WITH noted AS (INSERT INTO audit (principal, action, tokens) VALUES ($2, 'detokenize', $1::uuid[]))
    SELECT token, value FROM tokens WHERE token = ANY($1::uuid[])";
/// Syncs of the log and bytes in it. From PostgreSQL 18 on the syncs are counted elsewhere.
const COUNTERS: &str = "SELECT wal_sync, wal_bytes::int8 FROM pg_stat_wal";
const COUNTERS_FROM_18: &str = "
    SELECT (SELECT sum(fsyncs)::int8 FROM pg_stat_io WHERE object = 'wal' AND context = 'normal'), wal_bytes::int8
    FROM pg_stat_wal";
const OTHERS: &str = "
    SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
/// How long connections may take to go away.
const LEAVE_LOOKS: usize = 500;
const LEAVE_LOOK: Duration = Duration::from_millis(10);

/// Tokens and their audit rows in a PostgreSQL of their own.
pub struct Postgres {
    control: Client,
    version: String,
    version_number: u32,
    config: Config,
    seals: Arc<Seals>,
    stock: Arc<Vec<Token>>,
    fresh: Arc<AtomicU64>,
    process: PostgresProcess,
}

impl Postgres {
    /// Starts a server on the disk of `near`. One that does not come up is one that is not there: the text says why, in
    /// one line.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn start(near: &Path, tiny: bool) -> Result<PostgresProcess, Failure> {
        PostgresProcess::start(near, if tiny { SHARED_BUFFERS_TINY } else { SHARED_BUFFERS })
    }

    /// Makes the tables and fills in `count` tokens.
    ///
    /// # Errors
    /// When a statement fails, or commits would not be durable.
    pub fn create(process: PostgresProcess, count: u64, runtime: &Runtime) -> Result<Self, Failure> {
        let mut config = Config::new();
        config.host_path(process.socket()).user(ROLE).dbname("postgres");
        let seals = Arc::new(Seals::new()?);
        runtime.block_on(async {
            let control = connect(&config).await?;
            for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
                if show(&control, setting).await? != "on" {
                    return Err(format!("PostgreSQL runs with {setting} off: its commits prove nothing").into());
                }
            }
            let version = show(&control, "server_version").await?;
            let version_number = show(&control, "server_version_num").await?.parse()?;
            control.batch_execute(TABLES).await?;
            let filling = Connection::open(&config, &seals).await?;
            let mut random = CallRandom::seeded(&SystemEntropy)?;
            let mut stock = Vec::with_capacity(usize::try_from(count)?);
            for values in fill_calls(count) {
                stock.extend(filling.tokenize(&mut random, &values).await?);
            }
            // No checkpoint: the first change of every page behind it would write the whole page ahead.
            control.batch_execute("VACUUM ANALYZE tokens").await?;
            let (stock, fresh) = (Arc::new(stock), Arc::new(AtomicU64::new(count)));
            Ok(Self { control, version, version_number, config, seals, stock, fresh, process })
        })
    }

    /// The server's version and how it is set up.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{}, Unix socket, fsync and synchronous_commit on, shared_buffers {SHARED_BUFFERS}, else as it comes",
            self.version
        )
    }

    /// Does the job, over a new connection for each call in flight.
    ///
    /// # Errors
    /// When a statement fails, or an answer is not what was asked for.
    pub fn run(&self, job: Job, runtime: &Runtime) -> Result<Run, Failure> {
        runtime.block_on(async {
            let mut connections = Vec::with_capacity(job.in_flight);
            for _ in 0..job.in_flight {
                connections.push(Connection::open(&self.config, &self.seals).await?);
            }
            let before = self.counters().await?;
            let rows_before = self.audit_rows().await?;
            let cpu = cpu_time();
            let (callers, clock) = Caller::all(job, &self.stock, &self.fresh)?;
            let mut running = JoinSet::new();
            for (caller, connection) in callers.into_iter().zip(connections) {
                running.spawn(connection.call_on(caller));
            }
            let mut latencies = Latencies::default();
            while let Some(ended) = running.join_next().await {
                latencies.append(ended??);
            }
            let (elapsed, cpu) = (clock.monotonic(), cpu_time().saturating_sub(cpu));
            // A backend's counts are all there when it has ended.
            self.wait_until_alone().await?;
            let counters = self.counters().await?.since(&before);
            let calls = u64::try_from(latencies.len())?;
            let items = calls * u64::try_from(job.items)?;
            let entries = self.audit_rows().await?.saturating_sub(rows_before);
            Ok(Run { outcome: Outcome { calls, items, elapsed, latencies, cpu, entries }, counters })
        })
    }

    /// CPU time of all of the server's processes so far.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.process.cpu()
    }

    /// Lets the server end in good order.
    ///
    /// # Errors
    /// When it ends otherwise.
    pub fn stop(self) -> Result<(), Failure> {
        drop(self.control);
        self.process.stop()
    }

    async fn counters(&self) -> Result<Counters, Failure> {
        let query = if self.version_number < 180_000 { COUNTERS } else { COUNTERS_FROM_18 };
        let row = self.control.query_one(query, &[]).await?;
        let (wal_syncs, wal_bytes) =
            (u64::try_from(row.try_get::<_, i64>(0)?)?, u64::try_from(row.try_get::<_, i64>(1)?)?);
        Ok(Counters { cpu: self.process.cpu(), wal_syncs, wal_bytes, ..Counters::default() })
    }

    async fn audit_rows(&self) -> Result<u64, Failure> {
        Ok(u64::try_from(self.control.query_one("SELECT count(*) FROM audit", &[]).await?.try_get::<_, i64>(0)?)?)
    }

    async fn wait_until_alone(&self) -> Result<(), Failure> {
        for _ in 0..LEAVE_LOOKS {
            if self.control.query_one(OTHERS, &[]).await?.try_get::<_, i64>(0)? == 0 {
                return Ok(());
            }
            tokio::time::sleep(LEAVE_LOOK).await;
        }
        Err("connections to PostgreSQL do not go away".into())
    }
}

/// A connection with its statements prepared.
struct Connection {
    client: Client,
    seals: Arc<Seals>,
    tokenize_one: Statement,
    tokenize_many: Statement,
    detokenize_one: Statement,
    detokenize_many: Statement,
}

impl Connection {
    async fn open(config: &Config, seals: &Arc<Seals>) -> Result<Self, Failure> {
        let client = connect(config).await?;
        Ok(Self {
            tokenize_one: client.prepare(TOKENIZE_ONE).await?,
            tokenize_many: client.prepare(TOKENIZE_MANY).await?,
            detokenize_one: client.prepare(DETOKENIZE_ONE).await?,
            detokenize_many: client.prepare(DETOKENIZE_MANY).await?,
            client,
            seals: Arc::clone(seals),
        })
    }

    async fn call_on(self, mut caller: Caller) -> Result<Latencies, Failure> {
        caller.begin();
        loop {
            match caller.job.verb {
                Verb::TokenizeFresh => {
                    let values = caller.fresh_values()?;
                    let tokens = self.tokenize(&mut caller.random, &values).await?;
                    caller.believe_tokens(&tokens)?;
                }
                Verb::Detokenize => {
                    let (first, tokens) = caller.drawn()?;
                    caller.believe_values(first, &self.detokenize(&tokens).await?)?;
                }
                Verb::TokenizeKnown | Verb::DetokenizeHot => return Err("there is no such call by hand".into()),
            }
            if !caller.goes_on() {
                return Ok(caller.latencies);
            }
        }
    }

    async fn tokenize(&self, random: &mut CallRandom, values: &[Vec<u8>]) -> Result<Vec<Token>, Failure> {
        let tokens: Vec<Token> = values.iter().map(|_| Token(random.bytes())).collect();
        let sealed: Vec<Vec<u8>> =
            tokens.iter().zip(values).map(|(token, value)| self.seals.seal(random, token, value)).collect();
        let written = match (tokens.as_slice(), sealed.as_slice()) {
            ([token], [sealed]) => self.client.execute(&self.tokenize_one, &[token, sealed, &PRINCIPAL]).await?,
            (tokens, sealed) => self.client.execute(&self.tokenize_many, &[&tokens, &sealed, &PRINCIPAL]).await?,
        };
        if written == u64::try_from(values.len())? { Ok(tokens) } else { Err("a row was not written".into()) }
    }

    async fn detokenize(&self, tokens: &[Token]) -> Result<Vec<Vec<u8>>, Failure> {
        let rows = match tokens {
            [token] => self.client.query(&self.detokenize_one, &[token, &PRINCIPAL]).await?,
            tokens => self.client.query(&self.detokenize_many, &[&tokens, &PRINCIPAL]).await?,
        };
        // Rows come in the index's order, and once for a token that was asked for twice.
        let mut found: HashMap<Token, &[u8]> = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let open = |token| self.seals.open(token, found.get(token).ok_or("a token has no row")?);
        tokens.iter().map(open).collect()
    }
}

impl ToSql for Token {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Token {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    accepts!(UUID);
}

/// The connection's own task ends with the client.
async fn connect(config: &Config) -> Result<Client, Failure> {
    let (client, connection) = config.connect(NoTls).await?;
    // A connection that breaks fails the client's next statement.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

async fn show(client: &Client, setting: &str) -> Result<String, Failure> {
    let row = client.query_one("SELECT current_setting($1)", &[&setting]).await?;
    Ok(row.try_get(0)?)
}
