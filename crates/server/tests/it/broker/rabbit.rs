//! A RabbitMQ of the test's own, on loopback and with folders of its own, and a listener in the place of a Kazoo
//! node.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};
use serde_json::Value;
use tokio::runtime::Runtime;

/// How long RabbitMQ may take to start on a busy machine.
const START_PATIENCE: Duration = Duration::from_secs(120);

/// Where Debian has the scripts.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// A broker. It ends with this value.
pub(crate) struct Rabbit {
    folder: tempfile::TempDir,
    port: u16,
    dist_port: u16,
    epmd_port: u16,
    epmd: Child,
    server: Option<Child>,
}

impl Rabbit {
    /// Starts an empty broker and waits until it takes connections.
    pub(crate) fn start() -> Self {
        let [port, dist_port, epmd_port] = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let epmd = Command::new("epmd")
            .args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Erlang's epmd: install rabbitmq-server, or run `make acceptance`, which does");
        let mut rabbit = Self { folder, port, dist_port, epmd_port, epmd, server: None };
        rabbit.restart();
        rabbit
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Its address with a password that is wrong.
    pub(crate) fn url_with_wrong_password(&self) -> String {
        format!("amqp://guest:not-the-password@127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it again after a kill.
    pub(crate) fn restart(&mut self) {
        let log = std::fs::File::create(self.path("output")).unwrap();
        let mut command = self.command("rabbitmq-server");
        // Otherwise the script stays as the parent of the server.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        let server = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("rabbitmq-server: install it, or run `make acceptance`, which does");
        self.server = Some(server);
        let deadline = Instant::now() + START_PATIENCE;
        let runtime = runtime();
        let connects = || runtime.block_on(Connection::connect(&self.url(), ConnectionProperties::default()));
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))).is_err()
            || connects().is_err()
        {
            let output = || std::fs::read_to_string(self.path("output")).unwrap_or_default();
            assert!(Instant::now() < deadline, "RabbitMQ does not start:\n{}", output());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs `rabbitmqctl`.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let output = self.command("rabbitmqctl").args(arguments).output().expect("rabbitmqctl");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, script: &str) -> Command {
        let scripts = std::env::var("RABBITMQ_SCRIPTS").unwrap_or_else(|_| SCRIPTS.to_owned());
        let mut command = Command::new(Path::new(&scripts).join(script));
        for name in ["plugins", "config"] {
            std::fs::write(self.path(name), if name == "plugins" { "[]." } else { "" }).unwrap();
        }
        command
            .env("HOME", self.folder.path())
            .env("RABBITMQ_NODENAME", format!("test{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", self.path("data"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("plugins"))
            .env("RABBITMQ_CONFIG_FILE", self.path("config"))
            .env("RABBITMQ_CONF_ENV_FILE", self.path("none"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+sbwt none");
        command
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        let _ = self.epmd.kill();
        let _ = self.epmd.wait();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A notice that came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) routing_key: String,
    pub(crate) properties: BasicProperties,
    pub(crate) payload: Value,
    /// The payload as it came.
    pub(crate) text: String,
    /// Since 1970.
    pub(crate) at: Duration,
}

impl Heard {
    /// What the payload says.
    pub(crate) fn says(&self, member: &str) -> &str {
        self.payload[member].as_str().unwrap_or_default()
    }
}

/// A queue that gets all notices. It comes back when the broker does.
pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<Heard>>>,
    _runtime: Runtime,
}

impl Listener {
    /// Listens to a broker.
    pub(crate) fn to(rabbit: &Rabbit) -> Self {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let runtime = runtime();
        let (sender, ready) = std::sync::mpsc::channel();
        let (url, here) = (rabbit.url(), Arc::clone(&heard));
        runtime.spawn(async move {
            loop {
                // An error means that the broker is down.
                let _ = listen(&url, &here, &sender).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        ready.recv_timeout(START_PATIENCE).expect("a queue that is bound");
        Self { heard, _runtime: runtime }
    }

    /// All notices so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Waits until the notices fulfil a condition.
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            let heard = self.heard();
            if condition(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{what}: {} notices", heard.len());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

async fn listen(
    url: &str,
    heard: &Mutex<Vec<Heard>>,
    ready: &std::sync::mpsc::Sender<()>,
) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // As Kazoo declares it.
    let (options, no_table) = (ExchangeDeclareOptions::default(), FieldTable::default);
    channel.exchange_declare("configuration".into(), ExchangeKind::Topic, options, no_table()).await?;
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), exclusive, no_table()).await?;
    let (name, key) = (queue.name().clone(), "*.*.*.*".into());
    channel
        .queue_bind(name.clone(), "configuration".into(), key, QueueBindOptions::default(), no_table())
        .await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut consumer = channel.basic_consume(name, "".into(), no_ack, no_table()).await?;
    let _ = ready.send(());
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let text = String::from_utf8(delivery.data).unwrap();
        heard.lock().unwrap().push(Heard {
            routing_key: delivery.routing_key.as_str().to_owned(),
            properties: delivery.properties,
            payload: serde_json::from_str(&text).unwrap(),
            text,
            at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap(),
        });
    }
    Ok(())
}
