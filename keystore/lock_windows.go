package keystore

import "os"

// tryLock does nothing: there is no gate on Windows yet, and a locked file could
// not be replaced.
func tryLock(*os.File) (bool, error) { return true, nil }
