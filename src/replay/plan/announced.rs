//! What clients of HTTP/2 announced when they began their connections, for the lanes that stand for
//! these.

use rustc_hash::FxHashMap;

use crate::exchange::{ClientSettings, Exchange};

/// Most connections of which it is remembered for requests that do not tell it themselves.
const CONNECTIONS: usize = 1 << 20;

/// Settings by number; 0 stands for connections of which none are known.
#[derive(Debug)]
pub(super) struct Announced {
    kinds: Vec<ClientSettings>,
    numbers: FxHashMap<ClientSettings, u16>,
    of: FxHashMap<u64, u16>,
}

impl Default for Announced {
    fn default() -> Self {
        let (numbers, of) = Default::default();
        Self { kinds: vec![ClientSettings::default()], numbers, of }
    }
}

impl Announced {
    /// The number of what the client of an exchange announced, as far as it is told by now.
    pub(super) fn number(&mut self, exchange: &Exchange) -> u16 {
        let connection = exchange.id.connection;
        let told = exchange.carriage.as_ref().and_then(|carriage| carriage.settings.as_deref());
        let Some(told) = told else { return self.of.get(&connection).copied().unwrap_or_default() };
        let number = match self.numbers.get(told) {
            Some(&number) => number,
            None => {
                let Ok(number) = u16::try_from(self.kinds.len()) else { return 0 };
                self.kinds.push(told.clone());
                self.numbers.insert(told.clone(), number);
                number
            }
        };
        if self.of.len() < CONNECTIONS {
            self.of.insert(connection, number);
        }
        number
    }

    /// All of them, by number.
    pub(super) fn into_kinds(self) -> Vec<ClientSettings> {
        self.kinds
    }
}
