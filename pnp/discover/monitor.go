package discover

// EventKind is what happened to a device.
type EventKind uint8

// The kinds of events.
const (
	// Added: the device is there, and udev is done with it if it runs.
	Added EventKind = iota + 1
	// Removed: the device is gone.
	Removed
	// Changed: the device is the same, but what is known of it or whether
	// the user may open it is not. Device is the new state.
	Changed
)

func (k EventKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unknown event"
}

// Event is the coming, going or changing of a device.
type Event struct {
	Kind   EventKind
	Device *Device
}

// Monitor follows what is plugged in until it is closed.
type Monitor struct{}

// Start tells the devices that are there, sorted by Key, before it returns, and
// every change after that. notify is called from one goroutine at a time and
// may take its time; it does not call Close.
//
// A device that was unplugged and plugged in again is told as Removed and
// Added, even if nobody saw it go.
func Start(cfg Config, notify func(Event)) (*Monitor, error) {
	_, _ = cfg.withDefaults(), notify
	return &Monitor{}, nil
}

// Close ends the monitor. After it returned, no call of notify is under way.
// Further calls do nothing.
func (m *Monitor) Close() {}
