//! Makes a JavaScript value of a large JSON text. QuickJS's own reader keeps room for 48 characters in each short
//! string and each name, which is most of what an object with very many members takes. Here, a large object gets
//! its members one by one, with names of their own length; the engine reads each value.

use std::fmt;

use rquickjs::object::Property;
use rquickjs::{Ctx, Object, Value};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The engine reads a text of at most so many bytes at once.
const LARGE: usize = 256 << 10;

/// Reads a JSON text, as `JSON.parse` does.
pub(crate) fn read<'js>(ctx: &Ctx<'js>, text: &str) -> rquickjs::Result<Value<'js>> {
    if text.len() <= LARGE || !text.trim_start().starts_with('{') {
        return ctx.json_parse(text);
    }
    let object = Object::new(ctx.clone())?;
    let mut fault = None;
    let members = Members { ctx, object: &object, fault: &mut fault };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = members.deserialize(&mut reader).and_then(|()| reader.end());
    match (fault, read) {
        (Some(fault), _) => Err(fault),
        (None, Ok(())) => Ok(object.into_value()),
        // For instance a name with half of a character: the engine takes it, or says what is wrong.
        (None, Err(_)) => ctx.json_parse(text),
    }
}

/// Reads the value of a member. Most of very many values are small numbers.
fn read_value<'js>(ctx: &Ctx<'js>, text: &str) -> rquickjs::Result<Value<'js>> {
    match text.parse::<i32>() {
        Ok(number) if text != "-0" => Ok(Value::new_int(ctx.clone(), number)),
        _ => read(ctx, text),
    }
}

/// Reads the members of an object into one of the engine.
struct Members<'a, 'js> {
    ctx: &'a Ctx<'js>,
    object: &'a Object<'js>,
    /// The engine's error, if it ended the reading.
    fault: &'a mut Option<rquickjs::Error>,
}

impl<'de> DeserializeSeed<'de> for Members<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((name, value)) = members.next_entry::<String, &RawValue>()? {
            let added = read_value(self.ctx, value.get()).and_then(|value| {
                let member = Property::from(value).writable().enumerable().configurable();
                self.object.prop(name, member)
            });
            if let Err(error) = added {
                *self.fault = Some(error);
                return Err(A::Error::custom("the engine refuses a member"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE, read};
    use rquickjs::{CatchResultExt, Context, Ctx, Runtime, Value};

    fn within(test: impl FnOnce(&Ctx<'_>)) {
        let runtime = Runtime::new().unwrap();
        Context::full(&runtime).unwrap().with(|ctx| test(&ctx));
    }

    fn written<'js>(ctx: &Ctx<'js>, value: rquickjs::Result<Value<'js>>) -> String {
        match value.and_then(|value| ctx.json_stringify(value)).catch(ctx) {
            Ok(text) => text.unwrap().to_string().unwrap(),
            Err(error) => error.to_string(),
        }
    }

    /// Large objects with everything that JSON can hold are read as the engine reads them.
    #[test]
    fn a_large_object_is_read_as_json_parse_reads_it() {
        let filler = "x".repeat(LARGE);
        for members in [
            r#""a":1,"b":-0,"c":-1,"d":2147483648,"e":1.50,"f":true,"g":null,"h":"","i":[1,[]],"j":{}"#,
            r#""z":1,"2":2,"1":{"__proto__":3},"":4,"a\u0000\n\"":5,"é😀":"\u00e9\ud83d\ude00""#,
            r#""twice":1,"other":2,"twice":{"a":1}"#,
            r#""__proto__":{"polluted":1},"constructor":2,"length":3,"toJSON":4"#,
            r#""half":"\ud800","rest":1"#,
            r#""\ud800":1,"rest":2"#,
            r#""number":1e999,"long":123456789012345678901234567890"#,
            r#""bad":01"#,
            r#""bad":1,"#,
        ] {
            for text in [
                format!(r#"{{{members},"text":"{filler}"}}"#),
                format!(r#"{{"text":"{filler}",{members}}}"#),
                format!(r#" {{"inner":{{"text":"{filler}",{members}}},"after":0}} "#),
                format!(r#"[{{"text":"{filler}",{members}}}]"#),
            ] {
                within(|ctx| {
                    let expected = written(ctx, ctx.json_parse(text.as_str()));
                    assert!(written(ctx, read(ctx, &text)) == expected, "{members}");
                });
            }
        }
    }

    #[test]
    fn members_can_be_changed_as_those_of_any_object() {
        let text = format!(r#"{{"a":1,"b":2,"text":"{}"}}"#, "x".repeat(LARGE));
        within(|ctx| {
            ctx.globals().set("doc", read(ctx, &text).unwrap()).unwrap();
            let code = "doc.a = 3; delete doc.b; doc.text = 0; JSON.stringify([Object.keys(doc), doc])";
            let changed: String = ctx.eval(code).unwrap();
            assert_eq!(changed, r#"[["a","text"],{"a":3,"text":0}]"#);
        });
    }

    #[test]
    fn many_members_take_a_quarter_less_memory() {
        let members: Vec<_> = (0..100_000).map(|number| format!(r#""m{number}":1"#)).collect();
        let text = format!("{{{}}}", members.join(","));
        let taken = |read: &dyn for<'js> Fn(&Ctx<'js>) -> rquickjs::Result<Value<'js>>| {
            let runtime = Runtime::new().unwrap();
            let context = Context::full(&runtime).unwrap();
            let before = runtime.memory_usage().malloc_size;
            context.with(|ctx| ctx.globals().set("doc", read(&ctx).unwrap()).unwrap());
            runtime.memory_usage().malloc_size - before
        };
        let (ours, engines) = (taken(&|ctx| read(ctx, &text)), taken(&|ctx| ctx.json_parse(text.as_str())));
        assert!(ours * 4 < engines * 3, "{ours} {engines}");
    }
}
