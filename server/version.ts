/** The version of this package, for the session answer and the description of the API. */
export const VERSION = '0.1.0'
