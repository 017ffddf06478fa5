//! Places with a generation: lanes and connections by number, without a hash on the way.

/// Places with a generation, so that a late event of a former tenant is known as such.
pub(super) struct Slab<T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, value: T) -> (usize, u32) {
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() - 1
        });
        self.places[at].1 = Some(value);
        (at, self.places[at].0)
    }

    pub(super) fn get(&mut self, at: usize) -> &mut T {
        self.places[at]
            .1
            .as_mut()
            .expect("a place is used only while its tenant is known to be there")
    }

    pub(super) fn peek(&self, at: usize) -> Option<&T> {
        self.places.get(at)?.1.as_ref()
    }

    pub(super) fn generation(&self, at: usize) -> u32 {
        self.places[at].0
    }

    pub(super) fn holds(&self, at: usize, generation: u32) -> bool {
        self.places.get(at).is_some_and(|(now, value)| *now == generation && value.is_some())
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<T> {
        let value = self.places[at].1.take()?;
        self.places[at].0 = self.places[at].0.wrapping_add(1);
        self.free.push(at);
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.places.iter().enumerate().filter(|(_, (_, value))| value.is_some()).map(|(at, _)| at)
    }
}
