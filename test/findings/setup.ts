/** A property that fails says in its own text by which error. */
import fc from 'fast-check'

fc.configureGlobal({ ...fc.readConfigureGlobal(), includeErrorInReport: true })
