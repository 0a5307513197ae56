//! Runs one map function in its own QuickJS runtime. Its time, memory, stack and output are limited. The
//! function sees only the JavaScript language and CouchDB's helper functions.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datastore::ROW_OVERHEAD_BYTES;
use rquickjs::function::Opt;
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Exception, Function, Persistent, Runtime, Value};

use crate::clock::thread_time;
use crate::large_object;

/// The limits for a map function.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Processor time, so that a busy machine does not make a map fail.
    pub(crate) time: Duration,
    pub(crate) memory_bytes: usize,
    /// How much it may emit for one document, with [`ROW_OVERHEAD_BYTES`] for each row.
    pub(crate) emitted_bytes: usize,
    pub(crate) stack_bytes: usize,
    /// Set when the store closes. Running map functions then stop.
    pub(crate) closing: Arc<AtomicBool>,
}

/// Why a map function produced no rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MapFailure {
    /// The function threw, or the source is not a function. A stack that is full throws too, on any machine alike.
    /// The runtime can be used again.
    Threw(String),
    /// The function reached a limit. The runtime must be dropped.
    Limit(String),
    /// The caller's deadline passed, or the store is closing.
    Deadline,
}

/// An emitted key and value, as JSON text. Rows with equal values share one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Emitted {
    pub(crate) key: String,
    pub(crate) value: Arc<str>,
}

#[derive(Default)]
struct Output {
    rows: Vec<Emitted>,
    values: HashSet<Arc<str>>,
    bytes: usize,
    too_large: bool,
}

impl Output {
    fn push(&mut self, key: String, value: String) {
        let last = self.rows.last().map(|row| &row.value).filter(|last| ***last == *value);
        let value = match last.or_else(|| self.values.get(value.as_str())) {
            Some(known) => Arc::clone(known),
            None => {
                let new: Arc<str> = value.into();
                self.values.insert(Arc::clone(&new));
                new
            }
        };
        self.rows.push(Emitted { key, value });
    }
}

/// The state of the interrupt handler, which QuickJS calls regularly while it runs.
struct InterruptState {
    deadline: Cell<Instant>,
    /// The processor time of this thread at which the map is stopped.
    stop_at: Cell<Duration>,
    stopped: Cell<Option<Stopped>>,
    closing: Arc<AtomicBool>,
}

/// Why the interrupt handler stopped a map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    OutOfTime,
    Deadline,
}

impl InterruptState {
    fn check(&self) -> Option<Stopped> {
        if self.closing.load(Ordering::Relaxed) || Instant::now() >= self.deadline.get() {
            Some(Stopped::Deadline)
        } else if thread_time() >= self.stop_at.get() {
            Some(Stopped::OutOfTime)
        } else {
            None
        }
    }
}

/// A compiled map function. It cannot leave the thread that compiled it.
pub(crate) struct Sandbox {
    // This field comes first, because it must be dropped before its context.
    map: Option<Persistent<Function<'static>>>,
    context: Context,
    output: Rc<RefCell<Output>>,
    watch: Rc<InterruptState>,
    limits: Limits,
}

/// The helper functions that CouchDB offers to maps and that need nothing from outside.
const HELPERS: &str = "
    var isArray = Array.isArray;
    var toJSON = function (value) { return JSON.stringify(value); };
    var sum = function (values) {
        var total = 0;
        for (var i = 0; i < values.length; i++) { total += values[i]; }
        return total;
    };";

impl Sandbox {
    /// Compiles the source of a map function.
    pub(crate) fn compile(source: &str, limits: &Limits, deadline: Instant) -> Result<Self, MapFailure> {
        let broken = |error: rquickjs::Error| MapFailure::Limit(error.to_string());
        let runtime = Runtime::new().map_err(broken)?;
        runtime.set_memory_limit(limits.memory_bytes);
        runtime.set_max_stack_size(limits.stack_bytes);
        let watch = Rc::new(InterruptState {
            deadline: Cell::new(deadline),
            stop_at: Cell::new(Duration::MAX),
            stopped: Cell::new(None),
            closing: Arc::clone(&limits.closing),
        });
        runtime.set_interrupt_handler(Some(Box::new({
            let watch = Rc::clone(&watch);
            move || {
                watch.stopped.set(watch.check());
                watch.stopped.get().is_some()
            }
        })));
        let context = Context::full(&runtime).map_err(broken)?;
        let output = Rc::new(RefCell::new(Output::default()));
        let mut sandbox = Self { map: None, context, output, watch, limits: limits.clone() };
        let map = sandbox.guarded(1, deadline, |ctx, output| {
            let globals = ctx.globals();
            let emit = emitter(Rc::clone(output), limits.emitted_bytes);
            globals.set("emit", Function::new(ctx.clone(), emit)?)?;
            globals.set("log", Function::new(ctx.clone(), log_line)?)?;
            ctx.eval::<(), _>(HELPERS)?;
            let map: Value<'_> = ctx.eval(format!("({source}\n)"))?;
            match map.into_function() {
                Some(map) => Ok(Persistent::save(ctx, map)),
                None => Err(Exception::throw_type(ctx, "the expression is not a function")),
            }
        })?;
        sandbox.map = Some(map);
        Ok(sandbox)
    }

    /// Runs the map function on a document's text. It may take `effort` times the usual time.
    pub(crate) fn map(
        &mut self,
        doc: &str,
        effort: u32,
        deadline: Instant,
    ) -> Result<Vec<Emitted>, MapFailure> {
        let Some(map) = self.map.clone() else { return Err(MapFailure::Limit("no map".to_owned())) };
        *self.output.borrow_mut() = Output::default();
        self.guarded(effort, deadline, |ctx, _| {
            let doc = large_object::read(ctx, doc)?;
            map.restore(ctx)?.call::<_, Value<'_>>((doc,))?;
            Ok(())
        })?;
        Ok(self.output.take().rows)
    }

    /// Runs JavaScript under the limits. The error tells which limit it reached.
    fn guarded<R>(
        &self,
        effort: u32,
        deadline: Instant,
        run: impl for<'js> FnOnce(&Ctx<'js>, &Rc<RefCell<Output>>) -> rquickjs::Result<R>,
    ) -> Result<R, MapFailure> {
        self.watch.deadline.set(deadline);
        let most = self.limits.time.saturating_mul(effort);
        self.watch.stop_at.set(thread_time().saturating_add(most));
        self.watch.stopped.set(None);
        let outcome = self.context.with(|ctx| {
            run(&ctx, &self.output).catch(&ctx).map_err(|error| {
                // When memory runs out, the engine cannot allocate a message and throws null instead.
                let bare = matches!(&error, CaughtError::Value(value) if value.is_null());
                (bare, error.to_string().trim().to_owned())
            })
        });
        match self.watch.stopped.get() {
            Some(Stopped::Deadline) => return Err(MapFailure::Deadline),
            Some(Stopped::OutOfTime) => {
                return Err(MapFailure::Limit(format!("it ran longer than {most:?} of processor time")));
            }
            None => {}
        }
        if self.output.borrow().too_large {
            return Err(MapFailure::Limit(format!(
                "it emitted more than {} bytes for one document",
                self.limits.emitted_bytes
            )));
        }
        outcome.map_err(|(bare, message)| match message {
            _ if bare => MapFailure::Limit("it ran out of memory".to_owned()),
            short if short.contains("out of memory") => MapFailure::Limit(short),
            message => MapFailure::Threw(message),
        })
    }
}

/// Builds the `emit` function. It turns keys and values into JSON text at once and stores the text outside
/// the runtime, where the map cannot change it.
fn emitter(
    output: Rc<RefCell<Output>>,
    most: usize,
) -> impl for<'js> Fn(Ctx<'js>, Opt<Value<'js>>, Opt<Value<'js>>) -> rquickjs::Result<()> + 'static {
    move |ctx, key, value| emit(&ctx, &output, most, key.0, value.0)
}

fn emit<'js>(
    ctx: &Ctx<'js>,
    output: &RefCell<Output>,
    most: usize,
    key: Option<Value<'js>>,
    value: Option<Value<'js>>,
) -> rquickjs::Result<()> {
    let text = |value: Option<Value<'js>>| -> rquickjs::Result<String> {
        let Some(value) = value else { return Ok("null".to_owned()) };
        match ctx.json_stringify(value)? {
            Some(text) => Ok(without_lone_surrogates(text.to_string()?)),
            None => Ok("null".to_owned()),
        }
    };
    let (key, value) = (text(key)?, text(value)?);
    let mut output = output.borrow_mut();
    // Equal values are kept once, but the engine spends time on each of them, and CouchDB stores each.
    let row_bytes = key.len().saturating_add(value.len()).saturating_add(ROW_OVERHEAD_BYTES);
    output.bytes = output.bytes.saturating_add(row_bytes);
    if output.bytes > most {
        *output = Output { bytes: output.bytes, too_large: true, ..Output::default() };
        return Err(Exception::throw_range(ctx, "the map emitted too much"));
    }
    output.push(key, value);
    Ok(())
}

fn log_line(message: Opt<Value<'_>>) {
    let text = message.0.and_then(|value| value.into_string()).and_then(|text| text.to_string().ok());
    log::debug!("a map function logged: {}", text.unwrap_or_default());
}

/// Replaces each lone surrogate by U+FFFD. JavaScript can cut a character in half, and no Rust string can
/// hold the halves. The engine escapes only lone surrogates, so every escaped one is replaced.
fn without_lone_surrogates(text: String) -> String {
    if !text.contains("\\ud") {
        return text;
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let is_surrogate =
            escape.starts_with("\\ud") && escape.get(3..4).is_some_and(|c| ("8"..="f").contains(&c));
        let length = if escape.starts_with("\\u") { 6 } else { 2 };
        let (escape, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        clean.push_str(if is_surrogate { "\\ufffd" } else { escape });
        rest = after;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
#[path = "sandbox_tests.rs"]
mod tests;
